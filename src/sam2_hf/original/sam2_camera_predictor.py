"""Follow objects in a live stream, by the names of Gy920/segment-anything-2-real-time.

Source: sam2/sam2_camera_predictor.py of that fork @ 53eb82a, for names, arguments and what is
returned.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.images import ImageSource
from sam2_hf.video.prompts import Mask
from sam2_hf.video.session_options import SessionOptions

from .sam2_video_predictor import Answer, SAM2VideoPredictor
from .video_settings import VideoSettings
from .video_state import VideoState


class SAM2CameraPredictor(VideoSettings):
    """The camera predictor: it holds the stream itself.

    Call `load_first_frame`, then `add_new_prompt`, then `track` with every frame that follows. The
    last `options.window` frames are kept, to be prompted; memories of older ones are forgotten.

    Args:
        model: The model, in eval mode.
        options: How to track; see [`VideoSettings`].

    Attributes:
        frame_idx: Number of the newest frame.
        condition_state: The stream and what is tracked on it; empty before the first frame.

    Differs: objects may be added at any time, on any frame that is kept. There a new one has to be
        given on the first frame, the only picture that is kept, and tracked frames are counted from
        1, even if `add_conditioning_frame` has used that number.

    Example:
        >>> predictor = SAM2CameraPredictor(model)
        >>> predictor.load_first_frame(clip[0])
        >>> answer = predictor.add_new_prompt(0, 1, [[115, 100]], [1])
        >>> ids, logits = predictor.track(clip[1])
    """

    def __init__(self, model: Sam2VideoModel, options: SessionOptions | None = None) -> None:
        super().__init__(model, options)
        self.condition_state: VideoState | Mapping[str, Any] = {}
        self.frame_idx = 0

    def load_first_frame(self, img: ImageSource) -> None:
        """Begin a stream, in place of the one before.

        Args:
            img: PIL picture, array `(height, width, 3)` or tensor; RGB.

        Raises:
            FrameError: It is not a picture.

        Example:
            >>> SAM2CameraPredictor(model).load_first_frame(clip[0])
        """
        if isinstance(self.condition_state, VideoState):
            self.condition_state.session.close()
        self.condition_state = self._videos().init_state(None)
        self.add_conditioning_frame(img)

    def add_conditioning_frame(self, img: ImageSource) -> None:
        """Append a frame that is to be prompted before anything is tracked on it.

        Raises:
            SessionError: There is no first frame.
            FrameError: It is not a picture, or has another size than those before.

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> predictor.add_conditioning_frame(clip[1])
            >>> predictor.frame_idx
            1
        """
        self.frame_idx = self._videos().add_new_frame(self._state(), img)

    def add_new_prompt(
        self,
        frame_idx: int,
        obj_id: int,
        points: object = None,
        labels: object = None,
        bbox: object = None,
        clear_old_points: bool = True,  # noqa: FBT001, FBT002
        normalize_coords: bool = True,  # noqa: FBT001, FBT002
    ) -> Answer:
        """Point at an object; see [`SAM2VideoPredictor.add_new_points_or_box`].

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> answer = predictor.add_new_prompt(0, 1, bbox=[74, 8, 177, 138])
        """
        return self._videos().add_new_points_or_box(
            self._state(),
            frame_idx,
            obj_id,
            points,
            labels,
            clear_old_points,
            normalize_coords,
            bbox,
        )

    def add_new_points(
        self,
        frame_idx: int,
        obj_id: int,
        points: object,
        labels: object,
        clear_old_points: bool = True,  # noqa: FBT001, FBT002
        normalize_coords: bool = True,  # noqa: FBT001, FBT002
    ) -> Answer:
        """Point at an object; see [`SAM2VideoPredictor.add_new_points_or_box`].

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> answer = predictor.add_new_points(0, 1, [[115, 100]], [1])
        """
        return self.add_new_prompt(
            frame_idx, obj_id, points, labels, None, clear_old_points, normalize_coords
        )

    def add_new_mask(self, frame_idx: int, obj_id: int, mask: Mask) -> Answer:
        """Give the mask of an object; see [`SAM2VideoPredictor.add_new_mask`].

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> answer = predictor.add_new_mask(0, 1, np.ones((180, 240), bool))
        """
        return self._videos().add_new_mask(self._state(), frame_idx, obj_id, mask)

    def add_new_promot_during_track(
        self,
        point: object = None,
        bbox: object = None,
        mask: Mask | None = None,
        if_new_target: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        """Point at an object on the newest frame, during tracking; the fork spells it so.

        Args:
            point: `(n, 2)`, all of them on the object.
            bbox: x0, y0, x1, y1.
            mask: Instead of the two.
            if_new_target: Whether it is a new object, or the last one, whose clicks it joins.

        Raises:
            SessionError: There is no object yet, so `add_new_prompt` has to come first.

        Differs: there it is given on the first frame, whatever is in view by then.

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> answer = predictor.add_new_points(0, 1, [[115, 100]], [1])
            >>> predictor.add_new_promot_during_track(point=[[60, 60]])
        """
        ids = self._state().session.object_ids
        if not ids:
            raise SessionError("there is no object yet. Call add_new_prompt first.")
        number = max(ids) + 1 if if_new_target else ids[-1]
        if point is None and bbox is None:
            if mask is None:
                raise SessionError("there is no prompt. Give point, bbox or mask.")
            self.add_new_mask(self.frame_idx, number, mask)
            return
        labels = None if point is None else [1]
        self.add_new_prompt(self.frame_idx, number, point, labels, bbox, clear_old_points=False)

    def propagate_in_video_preflight(self) -> None:
        """Do nothing: `track` remembers the answers to all prompts by itself."""

    def track(self, img: ImageSource) -> tuple[list[int], Tensor]:
        """Append a frame and track all objects on it.

        Args:
            img: As in `load_first_frame`.

        Returns:
            Object ids, and mask logits `(n, 1, H, W)`.

        Raises:
            SessionError: There is no first frame.
            FrameError: It is not a picture, or has another size than those before.

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> answer = predictor.add_new_points(0, 1, [[115, 100]], [1])
            >>> predictor.track(clip[1])[0]
            [1]
        """
        self.frame_idx, ids, logits = self._videos().track_new_frame(self._state(), img)
        return ids, logits

    def reset_state(self) -> None:
        """Remove all objects; frames that are kept can be prompted again.

        Example:
            >>> predictor = SAM2CameraPredictor(model)
            >>> predictor.load_first_frame(clip[0])
            >>> predictor.reset_state()
        """
        self._videos().reset_state(self._state())

    def _videos(self) -> SAM2VideoPredictor:
        """Hand the work to the video predictor, under the options of this one."""
        return SAM2VideoPredictor(self.model, self.options)

    def _state(self) -> VideoState:
        if not isinstance(self.condition_state, VideoState):
            raise SessionError("there is no stream yet. Call load_first_frame first.")
        return self.condition_state


SAM2CameraPredictorVOS = SAM2CameraPredictor
