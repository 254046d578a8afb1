"""Models for the original's builders: a config by its released name, weights, and overrides."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.model.checkpoints.bundled_models import bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config
from sam2_hf.model.configs.configuration_sam2 import Sam2Config
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.number_reading import shown
from sam2_hf.pipelines.loading import (
    Device,
    Source,
    default_device,
    load_model,
    load_video_model,
    loading_options,
    read_device,
    where_or_id,
)
from sam2_hf.video.session_options import SessionOptions

from .hydra_overrides import changed_config, model_overrides, session_changes

# `configs/sam2.1/sam2.1_hiera_t.yaml`, `sam2_hiera_b+.yaml`, with or without folders and suffix
CONFIG_NAME = re.compile(r"(sam2(?:\.1)?)_hiera_(t|s|b\+|l)(?:\.yaml)?")
SIZES = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}
MODES = ("eval", "train")
HUB_IDS = {model.hub_id for model in RELEASED.values()}
Model = TypeVar("Model", Sam2Model, Sam2VideoModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the original's builders take besides config and checkpoint.

    Attributes:
        device: Where the model goes; a GPU if there is one, if None.
        mode: "eval" or "train".
        hydra_overrides_extra: Changes of the config; see `hydra_overrides.py`.
        apply_postprocessing: Whether an unstable single mask is replaced by the best of three; in
            videos also whether holes of up to 8 pixels are filled and prompted frames are
            remembered by the mask as it is seen.
        vos_optimized: For videos: whether to make graphs of fixed shapes, on a GPU. On a CPU the
            model is faster without.
        compat: For videos: "official" also loses the correction of a tracked frame in the next
            propagation, as the original does.

    Raises:
        PromptError: A value cannot be used.
        OptionError: An override names nothing that there is here.
    """

    device: Device | None = None
    mode: str = "eval"
    hydra_overrides_extra: Sequence[str] = ()
    apply_postprocessing: bool = True
    vos_optimized: bool = False
    compat: str | None = None

    def __post_init__(self) -> None:
        for name, choices in (("mode", MODES), ("compat", (None, "official"))):
            value = getattr(self, name)
            if not any(type(value) is type(choice) and value == choice for choice in choices):
                listed = " or ".join(map(repr, choices))
                raise PromptError(f"{name} is {shown(value)}. Choose {listed}.")
        for name in ("apply_postprocessing", "vos_optimized"):
            if not isinstance(getattr(self, name), bool):
                raise PromptError(f"{name} is {shown(getattr(self, name))}, not True or False.")

    @classmethod
    def names(cls, *, of_video: bool) -> frozenset[str]:
        """List the options that a builder has."""
        names = {field.name for field in fields(cls)}
        return frozenset(names if of_video else names - {"vos_optimized", "compat"})

    def image_model(self, config: Sam2VideoConfig, weights: Source | None) -> Sam2Model:
        """Build a model of photos.

        Args:
            config: Which model.
            weights: A `.pt` or `.safetensors`, a folder or a Hub id; random weights if None.

        Raises:
            CheckpointError: There are no such weights, or they are another model's.
            PromptError: There is no such device, or an override cannot be used.
        """
        changed = changed_config(config, self._overrides(of_video=False))
        image_config = Sam2Config.from_dict(changed.to_dict() | {"model_type": "sam2"})
        image_config._commit_hash = changed._commit_hash
        if weights is None:
            return self._placed(Sam2Model(image_config))
        return self._placed(load_model(weights, device=self._device(), config=image_config))

    def video_model(self, config: Sam2VideoConfig, weights: Source | None) -> Sam2VideoModel:
        """Build a model of videos; see `image_model`."""
        changed = changed_config(config, self._overrides(of_video=True))
        if weights is None:
            return self._placed(Sam2VideoModel(changed))
        return self._placed(load_video_model(weights, device=self._device(), config=changed))

    def session_options(self) -> SessionOptions:
        """Choose the options of sessions: the original's, but corrections are kept.

        Raises:
            SessionError: An override has an impossible value.
        """
        chosen = {
            "add_all_frames_to_correct_as_cond": self.compat is None,
            "compile": self.vos_optimized and self._device().type != "cpu",
            "dynamic_multimask_via_stability": None,  # as the config says, which is changed already
            **session_changes(self._overrides(of_video=True)),
        }
        return SessionOptions.preset(
            "official", apply_postprocessing=self.apply_postprocessing, **chosen
        )

    def _overrides(self, *, of_video: bool) -> Mapping[str, Any]:
        return model_overrides(
            self.hydra_overrides_extra,
            apply_postprocessing=self.apply_postprocessing,
            of_video=of_video,
        )

    def _device(self) -> Any:  # noqa: ANN401 - a torch.device
        return default_device() if self.device is None else read_device(self.device)

    def _placed(self, model: Model) -> Model:
        model.to(self._device())
        return model.train(self.mode == "train")


def named_config(config_file: Source) -> Sam2VideoConfig:
    """Find the config that a builder's `config_file` means.

    Args:
        config_file: A released config such as `configs/sam2.1/sam2.1_hiera_t.yaml` or
            `sam2_hiera_b+.yaml`; or the folder, `config.json` or bundled name of another model.

    Raises:
        CheckpointError: What is there is no config of a SAM 2.
        PromptError: It is none of these.
    """
    name = os.fspath(config_file) if isinstance(config_file, str | os.PathLike) else ""
    found = CONFIG_NAME.fullmatch(name.replace("\\", "/").rpartition("/")[2])
    if found is not None:
        return released_config(f"{found[1]}_hiera_{SIZES[found[2]]}")
    if _is_config(name):
        return Sam2VideoConfig.from_pretrained(where_or_id(name))
    letters = "|".join(SIZES)
    raise PromptError(
        f"there is no config {shown(config_file)}. Give "
        f"configs/sam2.1/sam2.1_hiera_({letters}).yaml, "
        f"configs/sam2/sam2_hiera_({letters}).yaml, or the folder of a model with a config.json; "
        'other sizes are overrides, such as hydra_overrides_extra=["++model.image_size=512"].'
    )


def _is_config(name: str) -> bool:
    """Whether a name or path leads to a `config.json`."""
    path = Path(name).expanduser()
    try:
        is_file = path.suffix == ".json" and path.is_file()
        return bool(name) and (
            bundled_folder(name) is not None or is_file or (path / "config.json").is_file()
        )
    except OSError:  # the name is too long for a path
        return False


def pretrained_config(model_id: Source) -> Sam2VideoConfig:
    """Find the config of a Hub id, a folder or a bundled model.

    Raises:
        CheckpointError: There is no such model, or it is no SAM 2.
    """
    name = where_or_id(model_id)
    is_here = os.path.exists(name)
    if name in HUB_IDS and not is_here:
        return released_config(name)
    options = loading_options(name)
    if is_here and not os.path.isfile(os.path.join(name, "config.json")):
        raise CheckpointNotFoundError(
            f"{name} is not a folder with a config.json. An original checkpoint is loaded by "
            'build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", path) and the like.'
        )
    return Sam2VideoConfig.from_pretrained(name, **options)


def split_options(
    what: str, given: Mapping[str, Any], own: Collection[str], *, of_video: bool
) -> tuple[BuildOptions, dict[str, Any]]:
    """Tell options of a builder from those of the class that loads itself with it.

    Args:
        what: What has the options, for the message.
        given: Both kinds.
        own: Names of the class's.
        of_video: Whether a video predictor is built.

    Raises:
        OptionError: No option has that name.
        PromptError: A value cannot be used.
    """
    of_builder = BuildOptions.names(of_video=of_video)
    refuse_unknown(what, given, {*of_builder, *own})
    built = BuildOptions(**{name: given[name] for name in given if name in of_builder})
    return built, {name: given[name] for name in given if name in own}


def refuse_unknown(what: str, given: Collection[str], known: Collection[str]) -> None:
    """Refuse options that there are not; the original swallows them.

    Raises:
        OptionError: No option has that name.
    """
    for name in given:
        if name not in known:
            raise OptionError(what, name, known)
