"""Video processor with transformers' API: whole videos to model input, and masks back.

Sessions read frames one by one instead, but use its normalization settings.

Suffixes: t = frames, c = channels, h, w = rows and columns.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from huggingface_hub.dataclasses import validate_typed_dict
from numpy.typing import NDArray
from torch import Tensor
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    PILImageResampling,
)
from transformers.processing_utils import VideosKwargs
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import VideoMetadata, make_batched_metadata

from sam2_hf.errors import VideoError
from sam2_hf.frames.borrowed import borrow_frames
from sam2_hf.frames.open import BATCH, Frames, is_video
from sam2_hf.processing.bundled_processors import checkpoint_source, loads_bundled
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.images import read_values, scale_of
from sam2_hf.processing.mask_post_processing import MaskOptions, finish_masks
from sam2_hf.processing.pixel_rules import pixel_rules
from sam2_hf.processing.pixel_values import RELEASED_PIXELS, PixelRules, to_pixel_values
from sam2_hf.processing.value_range import ValueRange

ARRAYS = (np.ndarray, Tensor)
PICTURE = 3  # axes of (h, w, 3)
FIRST, LAST = "channels_first", "channels_last"
SHARED_SETTINGS = (
    *("do_convert_rgb", "do_resize", "size", "resample"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
)


class Sam2VideoVideoProcessorKwargs(VideosKwargs, total=False):  # type: ignore[call-arg]
    """Options specific to this video processor.

    Args:
        value_range (`tuple[float, float]` or `str`): Values of black and white, for all frames of a
            video; see `processing/value_range.py`.
    """

    value_range: Any


@loads_bundled
class Sam2VideoVideoProcessor(VideoProcessorMixin):
    """Prepare whole videos, without torchvision.

    Takes the arguments and files of transformers' class of this name, with the same pixels.

    Differs from transformers: floats 0-1 are not rescaled again; `data_format` is respected; files
    are read by PyAV.
    """

    valid_kwargs = Sam2VideoVideoProcessorKwargs
    model_input_names: ClassVar[list[str]] = ["pixel_values"]
    value_range: ValueRange = None
    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size: ClassVar[dict[str, int]] = {"height": 1024, "width": 1024}
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_attributes(**kwargs)

    @classmethod
    def like(cls, image_processor: Sam2ImageProcessor) -> Self:
        """Make a video processor with the settings of an image processor.

        Example:
            >>> small = Sam2ImageProcessor(size={"height": 384, "width": 384})
            >>> Sam2VideoVideoProcessor.like(small).size["height"]
            384
        """
        return cls(**{name: getattr(image_processor, name) for name in SHARED_SETTINGS})

    def preprocess(self, videos: object, **kwargs: Any) -> BatchFeature:
        """Prepare videos, all frames at once: 12.6 MB per frame at 1024 pixels.

        Args:
            videos: One video as [`open_frames`] takes it, or a list of videos.
            **kwargs: See transformers' `VideosKwargs`. Defaults are this processor's settings.
                `input_data_format` is the layout of arrays, `data_format` that of the result;
                `do_sample_frames` takes `num_frames` frames, or `fps` per second.

        Returns:
            `pixel_values_videos` `(t, c, height, width)` of each video, `original_sizes` and
            `reshaped_input_sizes` `(height, width)`, and `video_metadata` with `return_metadata`;
            with `return_tensors="pt"` one tensor for all videos, if they are equally long.

        Raises:
            VideoError: A video cannot be opened, has no known end, or has too few frames.
            ImageError: A picture cannot be read, or an option is invalid.
            TypeError: An argument is unknown.

        Example:
            >>> processor = Sam2VideoVideoProcessor.from_pretrained("sam2-hiera-micro")
            >>> processor(np.stack(clip), return_tensors="pt")["pixel_values_videos"].shape[:3]
            torch.Size([1, 3, 3])
        """
        validate_typed_dict(self.valid_kwargs, kwargs)
        options = self._options() | kwargs
        options = self._standardize_kwargs(**options)
        self._validate_preprocess_kwargs(**options)
        rules, listed = _rules(options), _list_videos(videos)
        given = options["video_metadata"]
        metadata = [None] * len(listed) if given is None else make_batched_metadata(listed, given)
        prepared = [
            self._prepare(video, about, rules, options)
            for video, about in zip(listed, metadata, strict=True)
        ]
        pixels_tchw, sizes, described = zip(*prepared, strict=True)
        data = {
            "original_sizes": list(sizes),
            "reshaped_input_sizes": [tuple(pixels.shape[-2:]) for pixels in pixels_tchw],
            "pixel_values_videos": [
                pixels.movedim(1, -1) if options["data_format"] == LAST else pixels
                for pixels in pixels_tchw
            ],
        }
        batch = BatchFeature(data=data, tensor_type=options["return_tensors"])
        if options["return_metadata"]:
            batch["video_metadata"] = list(described)
        return batch

    def sample_frames(
        self,
        metadata: VideoMetadata,
        num_frames: int | None = None,
        fps: float | None = None,
        **kwargs: Any,
    ) -> NDArray[np.int64]:
        """Select evenly spaced frames.

        Args:
            metadata: Number of frames and, for `fps`, the frame rate.
            num_frames: Number of frames; the processor's `num_frames` if None.
            fps: Frames per second, instead of a number; the processor's `fps` if None.
            **kwargs: Ignored.

        Returns:
            Frame numbers, in order; all if neither is given.

        Raises:
            VideoError: Both are given, there are too few frames, or `fps` is given for a video of
                unknown frame rate.
        """
        if num_frames is not None and fps is not None:
            raise VideoError("num_frames and fps are both given. Give one of them.")
        if num_frames is None and fps is None:
            num_frames, fps = getattr(self, "num_frames", None), getattr(self, "fps", None)
        total = metadata.total_num_frames
        if num_frames is None and fps is not None:
            if not metadata.fps:
                raise VideoError(
                    f"fps={fps} was requested from a video with an unknown frame rate. Give "
                    "video_metadata with its fps, or num_frames."
                )
            num_frames = max(1, int(total / metadata.fps * fps))
        if num_frames is None:
            return np.arange(total)
        if num_frames > total:
            raise VideoError(f"{num_frames} frames were requested from a video that has {total}.")
        return np.arange(num_frames) * total // num_frames

    def post_process_masks(
        self,
        masks: object,
        original_sizes: object,
        reshaped_input_sizes: object = None,
        mask_threshold: float = 0.0,
        binarize: bool = True,  # noqa: FBT001, FBT002
        pad_size: object = None,
    ) -> list[Tensor]:
        """Resize low-resolution masks to the size of their video.

        Args:
            masks: `(objects, 1, h, w)` per video, logits. Not modified.
            original_sizes: `(height, width)` of each video.
            reshaped_input_sizes: Ignored: frames are squashed to a square, not padded.
            mask_threshold: Logit above which a pixel is in the mask.
            binarize: Whether to return booleans instead of logits.
            pad_size: Ignored for the same reason.

        Returns:
            `(objects, 1, height, width)` per video; logits keep their dtype.

        Raises:
            TypeError: `masks` holds neither tensors nor arrays.
            PromptError: The numbers of masks and sizes differ.

        Differs from transformers: resizes once, not through the input size; `pad_size` and
        `reshaped_input_sizes` are not needed.

        Example:
            >>> processor = Sam2VideoVideoProcessor.from_pretrained("sam2-hiera-micro")
            >>> processor.post_process_masks([torch.zeros(1, 1, 96, 96)], [(180, 240)])[0].shape
            torch.Size([1, 1, 180, 240])
        """
        options = MaskOptions(mask_threshold=mask_threshold, binarize=binarize)
        return finish_masks(masks, original_sizes, None, options)

    @property
    def side(self) -> int:
        """Rows and columns of the model's input."""
        return int(self.size["height"])

    @property
    def rules(self) -> PixelRules:
        """Pixel preparation by the processor's settings.

        Raises:
            ImageError: A setting is invalid.
        """
        return _rules(self._standardize_kwargs(**self._options()))

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name, None) for name in self.valid_kwargs.__annotations__}

    def _prepare(
        self, video: object, given: VideoMetadata | None, rules: PixelRules, options: dict[str, Any]
    ) -> tuple[Tensor, tuple[int, int], VideoMetadata]:
        """Prepare one video; return its pixels, size and metadata."""
        video = _channels_last(video, options["input_data_format"])
        value_range = options["value_range"]
        # frames are read at original size, and resized by the rules of the call
        with borrow_frames(video, image_size=1, value_range=value_range) as frames:
            if frames.num_frames is None or frames.size is None:
                raise VideoError("a video without a known end cannot be prepared as a whole.")
            about = given or _metadata(frames, frames.num_frames)
            chosen = list(range(frames.num_frames))
            if options["do_sample_frames"]:
                sampled = self.sample_frames(about, options["num_frames"], options["fps"])
                chosen = sampled.tolist()
                about.frames_indices = sampled
            frames.expect(chosen)
            pixels = [
                to_pixel_values(picture_chw.to(options["device"]), rules)
                for picture_chw in _pictures(video, frames, chosen, options)
            ]
            return torch.stack(pixels), frames.size, about


def checkpoint_pixels(model: object) -> PixelRules:
    """Find the pixel preparation of a model's checkpoint.

    Args:
        model: A model; its processor is looked up where it was loaded from.

    Returns:
        See `saved_pixels`; for a model that was not loaded, that of the released checkpoints.

    Raises:
        ProcessorError: The processor's settings cannot be used.
    """
    revision = getattr(getattr(model, "config", None), "_commit_hash", None)
    return saved_pixels(getattr(model, "name_or_path", ""), revision)


def saved_pixels(name: str, revision: str | None = None) -> PixelRules:
    """Find the pixel preparation of a checkpoint.

    Args:
        name: Folder, path to a `.pt`, name of a bundled checkpoint, or Hub id.
        revision: Branch, tag or commit of a Hub repo; None otherwise.

    Returns:
        The settings of the processor there; those of the released checkpoints if there is none, as
        for a bare `.pt`.

    Raises:
        ProcessorError: The processor's settings cannot be used.
    """
    if revision is not None:
        return _hub_pixels(name, revision)
    folder = Path(checkpoint_source(name)) if name else None
    if folder is None or not folder.is_dir():
        return RELEASED_PIXELS
    return _pixels_at(folder) or RELEASED_PIXELS


@lru_cache(maxsize=8)
def _hub_pixels(name: str, revision: str) -> PixelRules:
    """Read the settings from a Hub repo: from the cache, else over the network."""
    for from_cache in (True, False):
        found = _pixels_at(name, revision=revision, local_files_only=from_cache)
        if found is not None:
            return found
    return RELEASED_PIXELS


def _pixels_at(source: str | Path, **where: Any) -> PixelRules | None:
    """Read the settings of a video processor, or of an image processor alone."""
    with suppress(OSError):
        return Sam2VideoVideoProcessor.from_pretrained(source, **where).rules
    with suppress(OSError):
        image_processor = Sam2ImageProcessor.from_pretrained(source, **where)
        return Sam2VideoVideoProcessor.like(image_processor).rules
    return None


def _rules(options: dict[str, Any]) -> PixelRules:
    """Read standardized options."""
    return pixel_rules({**options, "compat": "transformers"})


def _list_videos(videos: Any) -> list[Any]:  # noqa: ANN401 - any type
    """List one or several videos."""
    if isinstance(videos, ARRAYS):
        return list(videos) if videos.ndim == BATCH else [videos]
    is_several = isinstance(videos, (list, tuple)) and any(map(is_video, videos))
    return list(videos) if is_several else [videos]


def _channels_last(video: Any, layout: str | None) -> Any:  # noqa: ANN401 - any type
    """Transpose arrays to channels-last if a layout is given."""
    if layout is None:
        return video
    if isinstance(video, (list, tuple)):
        return [_channels_last(picture, layout) for picture in video]
    if not isinstance(video, ARRAYS) or video.ndim < PICTURE:
        return video
    array = video.detach().cpu().numpy() if isinstance(video, Tensor) else video
    return np.moveaxis(array, -3, -1) if layout == FIRST else array


def _metadata(frames: Frames, num_frames: int) -> VideoMetadata:
    """Return transformers' metadata of a video."""
    height, width = frames.size or (None, None)
    fps = None if frames.fps is None else float(frames.fps)
    return VideoMetadata(
        total_num_frames=num_frames,
        fps=fps,
        width=width,
        height=height,
        duration=num_frames / fps if fps else None,
        frames_indices=list(range(num_frames)),
    )


def _pictures(
    video: Any,  # noqa: ANN401 - any type
    frames: Frames,
    chosen: Sequence[int],
    options: dict[str, Any],
) -> Iterator[Tensor]:
    """Read frames, `(c, h, w)`: RGB, or with their original channels if requested."""
    if isinstance(video, (list, tuple, *ARRAYS)) and not options["do_convert_rgb"]:
        values = [read_values(video[frame]) for frame in chosen]
        yield from map(scale_of(values, options["value_range"]).apply, values)
        return
    for frame in chosen:
        # a copy, because the frames' arrays are read-only, which torch warns about
        yield torch.from_numpy(np.array(frames.picture(frame).transpose(2, 0, 1), order="C"))
