"""What the video model asks of a session; the sessions themselves lie outside `model/`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from .outputs import Sam2VideoSegmentationOutput

if TYPE_CHECKING:
    from .modeling_sam2_video import Sam2VideoModel


class InferenceSession(Protocol):
    """A session that carries out the model's methods of transformers' names."""

    def segment_frame(
        self,
        model: "Sam2VideoModel",
        *,
        frame_idx: int | None,
        frame: Tensor | None,
        reverse: bool,
        remember: bool,
    ) -> Sam2VideoSegmentationOutput:
        """Segment one frame; see `Sam2VideoModel.forward`."""

    def iterate_frames(
        self,
        model: "Sam2VideoModel",
        *,
        start_frame_idx: int | None,
        max_frame_num_to_track: int | None,
        reverse: bool,
        show_progress_bar: bool,
    ) -> Iterator[Sam2VideoSegmentationOutput]:
        """Track frame by frame; see `Sam2VideoModel.propagate_in_video_iterator`."""
