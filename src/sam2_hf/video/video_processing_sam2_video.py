"""The video processor of transformers' API: whole videos to model input, and masks back.

Sessions do not need it: they read frames one by one. It is here because checkpoints have its file,
and because programs call it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    PILImageResampling,
)
from transformers.video_processing_utils import VideoProcessorMixin

from sam2_hf.errors import VideoError
from sam2_hf.processing.bundled_processors import FromBundled
from sam2_hf.processing.mask_post_processing import MaskOptions, finish_masks

from .frames import is_video, open_frames


class Sam2VideoVideoProcessor(FromBundled, VideoProcessorMixin):
    """Prepare whole videos, without torchvision.

    Takes the files of the class of this name in transformers. Resizing and normalization are those
    of the released models.
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values"]
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

    def preprocess(
        self,
        videos: object,
        return_tensors: str | None = None,
        device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare videos, every frame of them at once: 12.6 MB a frame at 1024 pixels.

        Args:
            videos: One video as [`open_frames`] takes it, or a list of videos.
            return_tensors: "pt" for tensors, which needs videos of equal length.
            device: Where the frames go.
            **kwargs: None are understood.

        Returns:
            `pixel_values_videos` `(t, 3, S, S)` of each video, `original_sizes` and
            `reshaped_input_sizes` `(height, width)`.

        Raises:
            VideoError: A video cannot be opened, or has no known end.
            TypeError: There is another argument.
        """
        if kwargs:
            raise TypeError(f"Sam2VideoVideoProcessor does not understand {', '.join(kwargs)}.")
        is_several = isinstance(videos, (list, tuple)) and any(map(is_video, videos))
        given: Any = videos if is_several else [videos]
        found = [self._prepare(video, device) for video in given]
        side = self.side
        return BatchFeature(
            data={
                "pixel_values_videos": [pixels for pixels, _ in found],
                "original_sizes": [size for _, size in found],
                "reshaped_input_sizes": [(side, side)] * len(found),
            },
            tensor_type=return_tensors,
        )

    def post_process_masks(
        self,
        masks: object,
        original_sizes: object,
        reshaped_input_sizes: object = None,
        mask_threshold: float = 0.0,
        binarize: bool = True,  # noqa: FBT001, FBT002
        pad_size: object = None,
    ) -> list[torch.Tensor]:
        """Bring low-resolution masks to the size of their video.

        Args:
            masks: `(objects, 1, h, w)` per video, logits. Left as they are.
            original_sizes: `(height, width)` of each video.
            reshaped_input_sizes: Ignored: frames are squashed to a square, not padded.
            mask_threshold: Where a mask begins.
            binarize: Whether to give booleans instead of logits.
            pad_size: Ignored, likewise.

        Returns:
            `(objects, 1, height, width)` per video.

        Raises:
            TypeError: `masks` holds neither tensors nor arrays.
            PromptError: The numbers of masks and sizes differ.

        Differs from transformers: enlarges once, not by way of the input size; `pad_size` and
        `reshaped_input_sizes` are not needed.
        """
        options = MaskOptions(mask_threshold=mask_threshold, binarize=binarize)
        return finish_masks(masks, original_sizes, None, options)

    @property
    def side(self) -> int:
        """Rows and columns of the model's input."""
        return int(self.size["height"])

    def _prepare(
        self, video: object, device: torch.device | str | None
    ) -> tuple[torch.Tensor, Sequence[int]]:
        """Prepare one video."""
        with open_frames(video, image_size=self.side, compat="transformers") as frames:
            if frames.num_frames is None or frames.size is None:
                raise VideoError("a video without a known end cannot be prepared as a whole.")
            pixels = [frames.pixel_values(one, device) for one in range(frames.num_frames)]
            return torch.stack(pixels), frames.size
