"""A video model with options of its sessions as attributes, as the original's predictors have them.

There the predictor is the model itself; here it has one, as `model`.
"""

from dataclasses import replace
from typing import Any, Generic, Self, TypeVar, cast

import torch
from torch import nn

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.loading import Source
from sam2_hf.video.session_options import SessionOptions

from .model_building import pretrained_config, split_options

Value = TypeVar("Value")


class Setting(Generic[Value]):
    """An option of sessions as an attribute of a predictor."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, predictor: "VideoSettings", owner: type | None = None) -> Value:
        return cast(Value, getattr(predictor.options, self._name))

    def __set__(self, predictor: "VideoSettings", value: Value) -> None:
        change: dict[str, Any] = {self._name: value}
        predictor.options = replace(predictor.options, **change)


class VideoSettings(nn.Module):
    """A model, and the options of what it tracks. Setting an option counts from the next call on.

    Args:
        model: The model, in eval mode.
        options: How to track. If None those of the original's builder, except that a correction on
            a frame that was tracked stays; with `SessionOptions.preset("official")`, or
            `add_all_frames_to_correct_as_cond = False`, the next propagation overwrites it, as in
            the original.

    Attributes:
        model: The model.
        options: How to track; further ones than the attributes below are set by replacing it.
    """

    fill_hole_area = Setting[int]()
    non_overlap_masks = Setting[bool]()
    non_overlap_masks_for_mem_enc = Setting[bool]()
    clear_non_cond_mem_around_input = Setting[bool]()
    add_all_frames_to_correct_as_cond = Setting[bool]()
    binarize_mask_from_pts_for_mem_enc = Setting[bool]()
    memory_temporal_stride_for_eval = Setting[int]()
    max_cond_frames_in_attn = Setting[int | None]()

    def __init__(self, model: Sam2VideoModel, options: SessionOptions | None = None) -> None:
        super().__init__()
        self.model = model
        self.options = options or SessionOptions.preset(
            "official", add_all_frames_to_correct_as_cond=True
        )
        self.train(model.training)

    @classmethod
    def from_model(cls, model: Sam2VideoModel, options: SessionOptions) -> Self:
        """Make a predictor of a model that is loaded.

        Args:
            model: The model, in eval mode.
            options: How to track.

        Example:
            >>> from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
            >>> predictor = SAM2VideoPredictor.from_model(model, SessionOptions(window=64))
        """
        return cls(model, options)

    @classmethod
    def from_pretrained(cls, model_id: Source, **kwargs: Any) -> Self:
        """Load a model and make a predictor of it.

        Args:
            model_id: Hub id such as "facebook/sam2.1-hiera-tiny", folder, or bundled name.
            **kwargs: The options of `build_sam2_video_predictor`.

        Raises:
            CheckpointError: There is no such model.
            OptionError: There is no such option or override.
            PromptError: An option has a value that cannot be used.
            SessionError: An override of a session has an impossible value.

        Example:
            >>> from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
            >>> predictor = SAM2VideoPredictor.from_pretrained("sam2-hiera-micro", device="cpu")
        """
        options, _ = split_options(cls.__name__, kwargs, (), of_video=True)
        model = options.video_model(pretrained_config(model_id), model_id)
        return cls(model, options.session_options())

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def image_size(self) -> int:
        """Rows and columns of the model's input."""
        return self.model.image_size
