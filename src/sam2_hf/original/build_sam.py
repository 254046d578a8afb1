"""The original's `sam2.build_sam`: models and predictors by config, checkpoint or Hub id."""

from typing import Any

from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.loading import Device, Source
from sam2_hf.video.session_options import SessionOptions

from .model_building import (
    BuildOptions,
    named_config,
    pretrained_config,
    refuse_unknown,
    split_options,
)
from .sam2_camera_predictor import SAM2CameraPredictor
from .sam2_video_predictor import SAM2VideoPredictor


def build_sam2(
    config_file: Source,
    ckpt_path: Source | None = None,
    device: Device | None = None,
    mode: str = "eval",
    hydra_overrides_extra: Any = (),  # noqa: ANN401 - checked where they are read
    apply_postprocessing: bool = True,  # noqa: FBT001, FBT002 - the original's signature
    **kwargs: Any,
) -> Sam2Model:
    """Build a model of photos.

    Args:
        config_file: See [`named_config`].
        ckpt_path: An original `.pt`, a `.safetensors` or a folder, of the size that the config
            names; random weights if None.
        device: See [`BuildOptions`], as for the rest.
        mode: "eval" or "train".
        hydra_overrides_extra: See `hydra_overrides.py`; `compile_image_encoder` has no effect on
            photos.
        apply_postprocessing: See [`BuildOptions`].
        **kwargs: Nothing; a misspelled option is an error.

    Raises:
        CheckpointError: There are no such weights, or they are another model's.
        OptionError: There is no such option or override.
        PromptError: An option has a value that cannot be used.

    Source: sam2/build_sam.py:70-98 @ 2b90b9f.

    Example:
        >>> size = "configs/sam2.1/sam2.1_hiera_t.yaml"
        >>> build_sam2(size, device="cpu").image_size
        1024
    """
    refuse_unknown("build_sam2", kwargs, BuildOptions.names(of_video=False))
    options = BuildOptions(
        device=device,
        mode=mode,
        hydra_overrides_extra=hydra_overrides_extra,
        apply_postprocessing=apply_postprocessing,
    )
    return options.image_model(named_config(config_file), ckpt_path)


def build_sam2_video_predictor(
    config_file: Source,
    ckpt_path: Source | None = None,
    device: Device | None = None,
    mode: str = "eval",
    hydra_overrides_extra: Any = (),  # noqa: ANN401 - checked where they are read
    apply_postprocessing: bool = True,  # noqa: FBT001, FBT002 - the original's signature
    vos_optimized: bool = False,  # noqa: FBT001, FBT002 - the original's signature
    **kwargs: Any,
) -> SAM2VideoPredictor:
    """Build a predictor of videos; it also serves as the model of an image predictor.

    Args:
        config_file: As in `build_sam2`.
        ckpt_path: As in `build_sam2`.
        device: See [`BuildOptions`], as for the rest.
        mode: "eval" or "train".
        hydra_overrides_extra: As in `build_sam2`; also options of a session, such as
            `++model.fill_hole_area=0`.
        apply_postprocessing: See [`BuildOptions`].
        vos_optimized: See [`BuildOptions`].
        **kwargs: `compat`, see [`BuildOptions`]; a misspelled option is an error.

    Raises:
        CheckpointError: There are no such weights, or they are another model's.
        OptionError: There is no such option or override.
        PromptError: An option has a value that cannot be used.
        SessionError: An override of a session has an impossible value.

    Source: sam2/build_sam.py:101-142 @ 2b90b9f.

    Example:
        >>> size = "configs/sam2.1/sam2.1_hiera_t.yaml"
        >>> predictor = build_sam2_video_predictor(size, device="cpu")
    """
    return SAM2VideoPredictor.from_model(*_of_video("build_sam2_video_predictor", **locals()))


def build_sam2_camera_predictor(
    config_file: Source,
    ckpt_path: Source | None = None,
    device: Device | None = None,
    mode: str = "eval",
    hydra_overrides_extra: Any = (),  # noqa: ANN401 - checked where they are read
    apply_postprocessing: bool = True,  # noqa: FBT001, FBT002 - the fork's signature
    vos_optimized: bool = False,  # noqa: FBT001, FBT002 - the fork's signature
    **kwargs: Any,
) -> SAM2CameraPredictor:
    """Build a predictor of a live stream; arguments as in `build_sam2_video_predictor`.

    Source: sam2/build_sam.py of Gy920/segment-anything-2-real-time @ 53eb82a.

    Example:
        >>> size = "configs/sam2.1/sam2.1_hiera_t.yaml"
        >>> predictor = build_sam2_camera_predictor(size, device="cpu")
    """
    return SAM2CameraPredictor.from_model(*_of_video("build_sam2_camera_predictor", **locals()))


def build_sam2_hf(model_id: Source, **kwargs: Any) -> Sam2Model:
    """Build a model of photos from a Hub id, a folder or a bundled model.

    Args:
        model_id: Such as `facebook/sam2.1-hiera-tiny`.
        **kwargs: The options of `build_sam2`.

    Raises:
        CheckpointError: There is no such model.
        OptionError: There is no such option or override.
        PromptError: An option has a value that cannot be used.

    Example:
        >>> model = build_sam2_hf("sam2-hiera-micro", device="cpu")
    """
    options, _ = split_options("build_sam2_hf", kwargs, (), of_video=False)
    return options.image_model(pretrained_config(model_id), model_id)


def build_sam2_video_predictor_hf(model_id: Source, **kwargs: Any) -> SAM2VideoPredictor:
    """Build a predictor of videos from a Hub id, a folder or a bundled model.

    Args:
        model_id: Such as `facebook/sam2.1-hiera-tiny`.
        **kwargs: The options of `build_sam2_video_predictor`.

    Raises:
        CheckpointError: There is no such model.
        OptionError: There is no such option or override.
        PromptError: An option has a value that cannot be used.
        SessionError: An override of a session has an impossible value.

    Example:
        >>> predictor = build_sam2_video_predictor_hf("sam2-hiera-micro", device="cpu")
    """
    return SAM2VideoPredictor.from_pretrained(model_id, **kwargs)


def _of_video(
    what: str,
    config_file: Source,
    ckpt_path: Source | None,
    kwargs: dict[str, Any],
    **given: Any,
) -> tuple[Sam2VideoModel, SessionOptions]:
    """Make what a predictor of videos is made of, out of the arguments of its builder."""
    options, _ = split_options(what, {**given, **kwargs}, (), of_video=True)
    return options.video_model(named_config(config_file), ckpt_path), options.session_options()
