"""Track clicked objects through a video, by the original's names.

Source: sam2/sam2_video_predictor.py @ 2b90b9f, for names, arguments and what is returned.

Suffixes: n = objects or points, 2 = x and y, h, w = rows and columns, H, W = those of the video.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, PromptError, SessionError, UnknownObjectError
from sam2_hf.frames.base import frame_number
from sam2_hf.masks import suppress_overlaps
from sam2_hf.model.prompt_encoder import NO_OBJECT
from sam2_hf.number_reading import read_numbers, read_whole, shown
from sam2_hf.processing.images import ImageSource
from sam2_hf.processing.prompt_reading import label_each_point
from sam2_hf.video.compat.transformers_outputs import CONDITIONING
from sam2_hf.video.compat.transformers_prompts import check_near_frame, frame_prompts, scaled
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.prompts import FramePrompts, Mask, read_mask, read_object_id

from .video_settings import VideoSettings
from .video_state import VideoState

BOX_NUMBERS = 4
WHOLE_FRAME = (1, 1)  # size of a frame in which coordinates go from 0 to 1
Answer = tuple[int, list[int], Tensor]  # frame, object ids, mask logits (n, 1, H, W)


class SAM2VideoPredictor(VideoSettings):
    """The original's video predictor; its `inference_state` is a [`VideoState`] over a session.

    Mask logits are float32, `(n, 1, H, W)`, all objects in the order they came, on the model's
    device; an object without an answer on a frame has -1024 everywhere.

    Where the original grows with every frame, memories leave the device for RAM as soon as the
    model cannot read them any more, and RAM for a file beyond `options.ram_budget`; with
    `options = SessionOptions.preset("official", keep="window")` they are forgotten instead.

    Differs: a box may join clicks. What is shown of a frame is the newest answer of every object;
        there a pending correction of one object is not shown when another one is prompted for the
        first time, or the reverse. Arguments that make no sense are errors of this package, and an
        unknown object cannot be cleared.
    """

    def init_state(
        self,
        video_path: object = None,
        offload_video_to_cpu: bool | int = False,  # noqa: FBT001, FBT002
        offload_state_to_cpu: bool | int = False,  # noqa: FBT001, FBT002
        async_loading_frames: bool = False,  # noqa: FBT001, FBT002
        *,
        device: torch.device | str | None = None,
    ) -> VideoState:
        """Open a video; nothing is decoded yet.

        Args:
            video_path: A video file, a folder of pictures of any names, a list, array or tensor of
                frames, or an iterator; None for a live stream, see `add_new_frame`.
            offload_video_to_cpu: Where frames come that are read from the state by hand. Those that
                the model needs are decoded when their turn comes, and never all held.
            offload_state_to_cpu: Whether also the memories that the model can still read are stored
                on the CPU; others always are.
            async_loading_frames: Frames are always decoded ahead, in threads of their own.
            device: That of the model, if anything.

        Raises:
            VideoError: The video cannot be opened.
            SessionError: An argument makes no sense.

        Differs: two whole numbers in place of the offload flags are height and width that masks and
            prompts have, of frames that were resized before, as the nodes for ComfyUI give them.

        Example:
            >>> state = SAM2VideoPredictor(model).init_state("clip.mp4")
            >>> state["num_frames"]
            3
        """
        size = _size_for_flags(offload_video_to_cpu, offload_state_to_cpu)
        if device is not None and torch.device(device).type != self.device.type:
            raise SessionError(
                f"device is {device}, and the model is on {self.device}. Call predictor.to(device)."
            )
        session = Sam2VideoInferenceSession.open(video_path, self.model, options=self.options)
        return VideoState(
            session,
            size=size,
            offload_video_to_cpu=size is None and bool(offload_video_to_cpu),
            offload_state_to_cpu=size is None and bool(offload_state_to_cpu),
        )

    def add_new_points_or_box(  # noqa: PLR0913 - the signature is the original's
        self,
        inference_state: VideoState,
        frame_idx: int,
        obj_id: int,
        points: object = None,
        labels: object = None,
        clear_old_points: bool = True,  # noqa: FBT001, FBT002
        normalize_coords: bool = True,  # noqa: FBT001, FBT002
        box: object = None,
    ) -> Answer:
        """Point at an object on a frame, and see what comes of it.

        Args:
            inference_state: What `init_state` returned.
            frame_idx: Which frame, from 0.
            obj_id: Which object; any whole number, a new one is a new object.
            points: `(n, 2)`, x and y.
            labels: `(n,)`: 1 on the object, 0 outside it; 2 and 3 mark corners of a box; points
                with -1 are left out.
            clear_old_points: Whether they take the place of what was said about the object on this
                frame, or join it. Either way the answer starts from the mask before.
            normalize_coords: Whether coordinates are pixels of the video; else they go from 0 to 1.
            box: x0, y0, x1, y1, in whatever shape.

        Returns:
            Frame, object ids, and mask logits of all objects on the frame.

        Raises:
            PromptError: Points, labels or box cannot be used.
            FrameError: There is no such frame.

        Source: sam2/sam2_video_predictor.py:161-293 @ 2b90b9f.
        Differs: there a box needs `clear_old_points=True`; here it joins clicks either way.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state("clip.mp4")
            >>> predictor.add_new_points_or_box(state, 0, 1, [[115, 100]], [1])[1]
            [1]
        """
        session, number = self._session(inference_state), read_object_id(obj_id)
        what = f"object {number}"
        given = _read_points(points, labels, box, what)
        size = session.size or (self.image_size, self.image_size)
        measured_in = (inference_state.size or size) if normalize_coords else WHOLE_FRAME
        prompts = scaled(given, measured_in, size)
        check_near_frame(prompts, size, what)
        if not clear_old_points:
            said = session.prompts_of(frame_idx, number).with_clicks(prompts.clicks)
            prompts = said if prompts.box is None else said.with_box(prompts.box)
        return self._put(inference_state, frame_idx, number, prompts)

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self, inference_state: VideoState, frame_idx: int, obj_id: int, mask: Mask
    ) -> Answer:
        """Give the mask of an object on a frame, in place of what was said about it there.

        Args:
            inference_state: What `init_state` returned.
            frame_idx: Which frame.
            obj_id: Which object.
            mask: `(h, w)` of any size; see [`read_mask`].

        Returns:
            As `add_new_points_or_box`.

        Raises:
            PromptError: It is not one mask, or can be read in more ways than one.
            FrameError: There is no such frame.

        Source: sam2/sam2_video_predictor.py:299-380 @ 2b90b9f.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state("clip.mp4")
            >>> frame, ids, logits = predictor.add_new_mask(state, 0, 1, np.ones((180, 240), bool))
        """
        number = read_object_id(obj_id)
        mask_hw = read_mask(mask, None, self.image_size, f"object {number}", as_transformers=True)
        return self._put(inference_state, frame_idx, number, FramePrompts().with_mask(mask_hw))

    def propagate_in_video_preflight(self, inference_state: VideoState) -> None:
        """Remember the answers to all prompts so far; `propagate_in_video` does it by itself.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
        """
        for _ in self._session(inference_state).propagate(limit=0):
            pass

    def propagate_in_video(
        self,
        inference_state: VideoState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,  # noqa: FBT001, FBT002
    ) -> Iterator[Answer]:
        """Track all objects through the video, frame by frame.

        Args:
            inference_state: What `init_state` returned.
            start_frame_idx: First frame; the first one with a prompt if None, also in reverse.
            max_frame_num_to_track: How many frames after the first one; all if None.
            reverse: Whether time runs backward. From frame 0 it visits no frame.

        Yields:
            Frame, object ids, mask logits; stopping early loses nothing.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
            FrameError: A frame cannot be had.

        Source: sam2/sam2_video_predictor.py:546-624 @ 2b90b9f.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state("clip.mp4")
            >>> answer = predictor.add_new_points(state, 0, 1, [[115, 100]], [1])
            >>> [frame for frame, ids, logits in predictor.propagate_in_video(state)]
            [0, 1, 2]
        """
        self.propagate_in_video_preflight(inference_state)
        session, limit = self._session(inference_state), read_whole(max_frame_num_to_track)
        if start_frame_idx is None:
            kinds = session.output_dict_per_obj.values()
            start_frame_idx = min(frame for kind in kinds for frame in kind[CONDITIONING])
        results = session.propagate(
            start_frame_idx,
            max_frame_num_to_track if limit is None else limit + 1,
            "backward" if reverse else "forward",
            progress=True,
        )
        for result in results:
            yield self._answer(inference_state, result)

    def clear_all_prompts_in_frame(
        self,
        inference_state: VideoState,
        frame_idx: int,
        obj_id: int,
        need_output: bool = True,  # noqa: FBT001, FBT002
    ) -> Answer | None:
        """Take back all prompts of an object on a frame.

        Returns:
            As `add_new_points_or_box`; None without `need_output`.

        Raises:
            UnknownObjectError: There is no such object.

        Source: sam2/sam2_video_predictor.py:626-672 @ 2b90b9f.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state("clip.mp4")
            >>> answer = predictor.add_new_points(state, 0, 1, [[115, 100]], [1])
            >>> answer = predictor.clear_all_prompts_in_frame(state, 0, 1)
        """
        self._session(inference_state).clear(frame_idx, obj_id)
        return self._preview(inference_state, frame_idx) if need_output else None

    def remove_object(
        self,
        inference_state: VideoState,
        obj_id: int,
        strict: bool = False,  # noqa: FBT001, FBT002
        need_output: bool = True,  # noqa: FBT001, FBT002
    ) -> tuple[list[int], list[tuple[int, Tensor]]]:
        """Remove an object with all its masks.

        Args:
            inference_state: What `init_state` returned.
            obj_id: Which object.
            strict: Whether an unknown object is an error.
            need_output: Whether to return masks.

        Returns:
            The objects that are left, and mask logits of each frame where the object had a prompt,
            as they are without it; a stream may have dropped some of these frames.

        Raises:
            UnknownObjectError: There is no such object, and `strict` is set.

        Source: sam2/sam2_video_predictor.py:865-954 @ 2b90b9f.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state("clip.mp4")
            >>> answer = predictor.add_new_points(state, 0, 1, [[115, 100]], [1])
            >>> predictor.remove_object(state, 1)
            ([], [])
        """
        session, number = self._session(inference_state), read_object_id(obj_id)
        if number not in session.object_ids:
            if strict:
                raise UnknownObjectError(number, session.object_ids)
            return list(session.object_ids), []
        place = session.object_ids.index(number)
        given = (session.point_inputs_per_obj[place], session.mask_inputs_per_obj[place])
        frames = sorted({frame for inputs in given for frame in inputs})
        session.remove(number)
        if not session.object_ids:
            session.reset()
            return [], []
        shown = [frame for frame in frames if need_output and _is_readable(session, frame)]
        return list(session.object_ids), [
            (frame, self._preview(inference_state, frame)[2]) for frame in shown
        ]

    def reset_state(self, inference_state: VideoState) -> None:
        """Remove all objects; the video stays open.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> predictor.reset_state(predictor.init_state("clip.mp4"))
        """
        self._session(inference_state).reset()

    def add_new_frame(self, inference_state: VideoState, new_image: ImageSource) -> int:
        """Append a frame to a live stream, to be prompted or tracked next.

        This and `infer_single_frame` are the names of Grounded-SAM-2's camera demo.

        Args:
            inference_state: What `init_state()` returned without a video.
            new_image: PIL picture, array `(height, width, 3)` or tensor.

        Returns:
            Its number.

        Raises:
            SessionError: The state has a video of its own.
            FrameError: It is not a picture, or has another size than those before.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> predictor.add_new_frame(predictor.init_state(), clip[0])
            0
        """
        return self._session(inference_state).frames.append(new_image)

    def track_new_frame(self, inference_state: VideoState, new_image: ImageSource) -> Answer:
        """Append a frame to a live stream and track all objects on it.

        Takes and raises what `add_new_frame` does; returns what `infer_single_frame` does.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state()
            >>> number = predictor.add_new_frame(state, clip[0])
            >>> answer = predictor.add_new_points(state, 0, 1, [[115, 100]], [1])
            >>> frame, ids, logits = predictor.track_new_frame(state, clip[1])
        """
        return self._answer(inference_state, self._session(inference_state).step(new_image))

    def infer_single_frame(self, inference_state: VideoState, frame_idx: int) -> Answer:
        """Track all objects on one frame, after what was tracked so far.

        Args:
            inference_state: What `init_state` returned.
            frame_idx: The frame, as `add_new_frame` numbered it.

        Returns:
            Frame, object ids, mask logits.

        Raises:
            NoPromptError: There is no object.
            FrameError: There is no such frame, or a stream has dropped it.

        Example:
            >>> predictor = SAM2VideoPredictor(model)
            >>> state = predictor.init_state("clip.mp4")
            >>> answer = predictor.add_new_points(state, 0, 1, [[115, 100]], [1])
            >>> frame, ids, logits = predictor.infer_single_frame(state, 1)
        """
        session = self._session(inference_state)
        found: Any = session.segment_frame(
            self.model, frame_idx=frame_idx, frame=None, reverse=False, remember=True
        )
        result = FrameResult(
            frame_idx,
            tuple(found.object_ids),
            found.pred_masks[:, 0],
            found.iou_scores[:, 0],
            found.object_score_logits[:, 0],
            session.size or (self.image_size, self.image_size),
            non_overlapping=self.non_overlap_masks,
        )
        return self._answer(inference_state, result)

    @staticmethod
    def _apply_non_overlapping_constraints(pred_masks: Tensor) -> Tensor:
        """Leave each pixel to the object that is strongest there; see [`suppress_overlaps`]."""
        return suppress_overlaps(pred_masks)

    def _session(self, state: VideoState) -> Sam2VideoInferenceSession:
        """Look up the session of a state, which follows model and options of the predictor."""
        if not isinstance(state, VideoState):
            raise SessionError(
                f"inference_state is {shown(state)}. Give what predictor.init_state(video) returns."
            )
        if not state:
            raise SessionError("this state was cleared. Call predictor.init_state(video) again.")
        state.session.use_model(self.model)
        if state.session.options is not self.options:
            state.session.use_options(self.options)
        return state.session

    def _put(self, state: VideoState, frame: int, number: int, prompts: FramePrompts) -> Answer:
        """Say all of it at once about an object on a frame that is there, and show the answer."""
        session = self._session(state)
        session.frames.require(frame_number(frame))
        session.put_prompts(frame, number, prompts)
        return self._preview(state, frame)

    def _preview(self, state: VideoState, frame: int) -> Answer:
        """Show what is known of a frame."""
        return self._answer(state, self._session(state).preview(frame))

    def _answer(self, state: VideoState, result: FrameResult) -> Answer:
        """Draw the masks of all objects at the size of the video.

        Source: sam2/sam2_video_predictor.py:382-467 @ 2b90b9f.
        """
        size = state.size or result.size
        logits_bhw = result.logits_bhw.to(self.device)
        found = replace(result, logits_bhw=logits_bhw, size=size, host_masks=None).video_logits()
        ids = list(state.session.object_ids)
        if tuple(ids) == result.object_ids:
            return result.frame, ids, found
        logits = found.new_full((len(ids), 1, *size), NO_OBJECT)
        for number, logits_1hw in zip(result.object_ids, found, strict=True):
            if number in ids:  # another thread may have removed it since
                logits[ids.index(number)] = logits_1hw
        return result.frame, ids, logits


SAM2VideoPredictorVOS = SAM2VideoPredictor


def _is_readable(session: Sam2VideoInferenceSession, frame: int) -> bool:
    """Tell whether a frame is there; those of a stream are dropped after a while."""
    try:
        session.frames.require(frame)
    except FrameError:
        return False
    return True


def _read_points(points: object, labels: object, box: object, what: str) -> FramePrompts:
    """Read points with labels, and a box, as they are given.

    Raises:
        PromptError: They are malformed, or only one of points and labels is there.
    """
    if (points is None) != (labels is None):
        raise PromptError(f"{what} has points without labels, or the reverse. Give both.")
    if points is None and box is None:
        raise PromptError(f"{what} has neither points nor a box. Give one of them.")
    points_n2, labels_n = torch.zeros(0, 2), torch.zeros(0)
    if points is not None:
        points_n2 = _numbers(points, "points", what, 2)
        labels_n = _numbers(labels, "labels", what, 1)[:, 0]
        labels_n = label_each_point(labels_n, len(points_n2), what)
    box_4 = None
    if box is not None:
        boxes_n4 = _numbers(box, "box", what, BOX_NUMBERS)
        if len(boxes_n4) != 1:
            raise PromptError(f"{what} has {len(boxes_n4)} boxes. Give one: x0, y0, x1, y1.")
        box_4 = boxes_n4[0]
    return frame_prompts(points_n2, labels_n, box_4, what)


def _numbers(given: object, name: str, what: str, columns: int) -> Tensor:
    """Read numbers in rows of so many.

    Raises:
        PromptError: They are none, or do not come out even.
    """
    values = read_numbers(given)
    if values is None or values.size % columns:
        raise PromptError(f"{name} of {what} is {shown(given)}. Give rows of {columns} number(s).")
    return torch.from_numpy(values.reshape(-1, columns)).float()


def _size_for_flags(first: object, second: object) -> tuple[int, int] | None:
    """Read `(height, width)` where they are given in place of two flags.

    Raises:
        SessionError: They are neither numbers of pixels nor flags.
    """
    height, width = read_whole(first), read_whole(second)
    if height is not None and width is not None and min(height, width) > 1:
        return height, width
    if not (isinstance(first, bool) and isinstance(second, bool)):
        raise SessionError(
            f"offload_video_to_cpu is {shown(first)} and offload_state_to_cpu is {shown(second)}. "
            "Give True or False."
        )
    return None
