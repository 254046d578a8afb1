"""What there is to a session, as a document and tensors; and a session from them.

Video and model are not part of it: frames are decoded and encoded again, to the same bits.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2_hf.errors import Sam2Error, SessionError
from sam2_hf.frames.open import Frames, open_frames
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.model.weight_fingerprint import is_same_model
from sam2_hf.processing.prompt_reading import Click
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.masklet import MaskletStore
from sam2_hf.video.memory_policy import Direction
from sam2_hf.video.prompt_answers import answer_all, ask
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracked_object import PromptedOutput, Round, TrackedObject
from sam2_hf.video.tracker import Tracker
from sam2_hf.video.tracker_state import model_mark, require_video_model
from sam2_hf.video.video_processing_sam2_video import checkpoint_pixels

from .checkpoint_files import SavedSession, damage_explained, read_session, write_session
from .saved_document import SavedShapes, check_document, check_frames, check_objects, read_options
from .video_fingerprint import Fingerprint, require_same_video, video_fingerprint

Named = dict[str, Tensor]
Document = dict[str, Any]
DIRECTIONS = ("forward", "backward")


def save_tracker(tracker: Tracker, folder: Path) -> None:
    """Write a session's state; see `Sam2VideoInferenceSession.save`."""
    frames = tracker.frames
    with contextlib.suppress(Sam2Error):  # what cannot be answered is saved as it was said
        answer_all(tracker)
    tensors: Named = _write_fingerprint(tracker)
    document = {
        "options": _plain(tracker.options),
        "model": model_mark(tracker.model),
        "video": {
            "size": frames.size,
            "num_frames": frames.num_frames,
            "num_received": frames.num_received if isinstance(frames, LiveFrames) else None,
            "frames": _write_frames(tracker, tensors),
        },
        "objects": [_write_object(one, tensors) for one in tracker.objects.values()],
    }
    write_session(folder, SavedSession(document, tensors, tracker.history))


def load_tracker(folder: Path, video: object, model: Sam2VideoModel) -> Tracker:
    """Read a session's state; see `Sam2VideoInferenceSession.load`."""
    saved = read_session(folder, ram_budget=SessionOptions().ram_budget)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(saved.history.close)
        with damage_explained(folder):
            document = check_document(saved.document)
            options = read_options(document["options"])
        require_video_model(model)
        if not is_same_model(document["model"], model_mark(model)):
            raise SessionError(
                f"the session in {folder} was saved with another model: other weights, another "
                "size or another dtype. Load it with the model it was saved with."
            )
        with damage_explained(folder):
            shapes = SavedShapes.of(model, document["video"], options)
            check_frames(document["video"], saved.tensors, shapes)
            check_objects(document["objects"], saved.tensors, saved.history, shapes)
            fingerprint = _read_fingerprint(saved.tensors, shapes.num_frames)
        frames = _open_video(video, options, saved, model)
        on_failure.callback(frames.close)
        require_same_video(frames, fingerprint)
        saved.history.ram_budget = options.ram_budget
        tracker = Tracker(frames, options, model, history=saved.history)
        tracker.fingerprint = fingerprint or None
        known = {fields["id"] for fields in document["objects"]}
        for object_id in {key[0] for key, _ in saved.history.places()} - known:
            saved.history.discard_object(object_id)  # was removed; undo is not saved
        for fields in document["objects"]:
            _read_object(tracker, fields, saved.tensors)
        on_failure.pop_all()
    return tracker


def _write_fingerprint(tracker: Tracker) -> Named:
    """Note what the video looks like; it is looked at once."""
    if tracker.fingerprint is None:
        tracker.fingerprint = video_fingerprint(tracker.frames)
    frames, small = list(tracker.fingerprint), list(tracker.fingerprint.values())
    if not frames:
        return {}
    return {"video/frames": torch.tensor(frames), "video/colors": torch.stack(small)}


def _read_fingerprint(tensors: Named, num_frames: int) -> Fingerprint:
    """Read it; saves of earlier versions have none.

    Args:
        tensors: All that were saved.
        num_frames: How many frames there can be.

    Raises:
        SessionError: It is damaged.
    """
    frames, colors = tensors.get("video/frames"), tensors.get("video/colors")
    if frames is None and colors is None:
        return {}
    if frames is None or colors is None or frames.ndim != 1 or len(frames) != len(colors):
        raise SessionError("what the video looked like is incomplete")
    found = dict(zip(frames.tolist(), colors.float(), strict=True))
    if any(not 0 <= frame < num_frames for frame in found):
        raise SessionError(f"what the video looked like is of frames {list(found)}")
    return found


def _plain(options: SessionOptions) -> Document:
    fields = asdict(options)
    folder = options.spill_folder
    dtype = str(options.memory_dtype).removeprefix("torch.")
    return {
        **fields,
        "memory_dtype": dtype,
        "spill_folder": None if folder is None else str(folder),
    }


def _open_video(
    video: object, options: SessionOptions, saved: SavedSession, model: Sam2VideoModel
) -> Frames:
    """Open the video again, and see that it is the one that was saved."""
    about = saved.document["video"]
    frames = open_session_frames(video, options, model)
    if isinstance(frames, LiveFrames) != (about["num_received"] is not None):
        kind = "a live stream" if about["num_received"] is not None else "a video"
        raise SessionError(
            f"the saved session is one of {kind}. Give video=None for a stream only."
        )
    size = None if about["size"] is None else (about["size"][0], about["size"][1])
    if isinstance(frames, LiveFrames):
        kept = {frame: saved.tensors[f"frames/{frame}"] for frame in about.get("frames", ())}
        frames.go_on_from(about["num_received"], size, kept)
        return frames
    if frames.size != size or (frames.num_frames or about["num_frames"]) != about["num_frames"]:
        found = f"{frames.num_frames} frames of {frames.size}"
        frames.close()
        raise SessionError(
            f"the video has {found} (height, width), and the session was saved with "
            f"{about['num_frames']} frames of {size}. Give the same video."
        )
    return frames


def open_session_frames(video: object, options: SessionOptions, model: Sam2VideoModel) -> Frames:
    """Open a video as the options of a session and the model's checkpoint want it.

    Raises:
        SessionError: The model cannot track.
        VideoError: It cannot be opened.
    """
    require_video_model(model)
    value_range = options.value_range
    source = LiveFrames(options.window, value_range=value_range) if video is None else video
    # an iterator cannot go back, so it keeps as many frames as a stream does
    ring = {"ring": options.window} if isinstance(video, Iterator) else {}
    return open_frames(
        source,
        image_size=model.image_size,
        compat=options.frame_compat,
        rules=checkpoint_pixels(model),
        value_range=value_range,
        **ring,
    )


def _write_frames(tracker: Tracker, tensors: Named) -> list[int]:
    """Write the frames of a stream that have prompts which are not remembered yet; list them."""
    frames = tracker.frames
    if not isinstance(frames, LiveFrames):
        return []
    asked = {frame for one in tracker.objects.values() for frame in one.rounds}
    kept = sorted(frame for frame in asked if not frames.may_come(frame))
    for frame in kept:
        tensors[f"frames/{frame}"] = frames.pixel_values(frame)
    return kept


def _write_object(one: TrackedObject, tensors: Named) -> Document:
    """Describe an object; its tensors go into `tensors`."""
    own = f"{one.object_id}/"
    for frame, memory in one.bank.prompted.items():
        key = f"{own}prompted/{frame}/"
        tensors[f"{key}spatial"] = memory.spatial_bx
        tensors[f"{key}pointer"] = memory.pointer_bd
        tensors[f"{key}score"] = memory.score_b1
    for frame, output in one.outputs.items():
        _write_output(f"{own}outputs/{frame}/", output, tensors)
    rounds = [(frame, asked) for frame, several in one.rounds.items() for asked in several]
    answered = {frame: asked for frame, asked in rounds if asked.answer is not None}
    unanswered = [(frame, asked) for frame, asked in rounds if asked.answer is None]
    for frame, asked in answered.items():
        pending, key = asked.answer, f"{own}pending/{frame}/"
        if pending is None:
            continue
        _write_output(key, pending.answer, tensors)
        tensors[f"{key}pointer"] = pending.pointer_1d
        if pending.full_logits_11hw is not None:
            tensors[f"{key}full_logits"] = pending.full_logits_11hw
    frames = list(one.directions)
    tensors[f"{own}tracked"] = torch.tensor(frames, dtype=torch.int64)
    ways = [DIRECTIONS.index(one.directions[frame]) for frame in frames]
    tensors[f"{own}directions"] = torch.tensor(ways, dtype=torch.uint8)
    if one.masklet is not None:
        tensors |= {f"{own}scores/{name}": t for name, t in one.masklet.tensors().items()}
    return {
        "id": one.object_id,
        "prompts": [
            _write_prompts(f"{own}prompts/{frame}/", frame, prompts, tensors)
            for frame, prompts in one.prompts.items()
        ],
        "rounds": [
            _write_prompts(f"{own}rounds/{frame}/{index}/", frame, asked.prompts, tensors)
            for index, (frame, asked) in enumerate(unanswered)
        ],
        # for versions that read it; this one takes it from what has been tracked
        "asked": [
            [frame, asked.direction, asked.earlier is not None] for frame, asked in unanswered
        ],
        "prompted": list(one.bank.prompted),
        "outputs": list(one.outputs),
        "pending": [[frame, asked.direction is None] for frame, asked in answered.items()],
        "has_masklet": one.masklet is not None,
    }


def _read_object(tracker: Tracker, fields: Document, tensors: Named) -> None:
    """Make an object as it was described."""
    one = tracker.new_object(fields["id"])
    own = f"{one.object_id}/"
    device = tracker.model.device
    for frame in fields["prompted"]:
        key = f"{own}prompted/{frame}/"
        parts = (tensors[f"{key}{name}"] for name in ("spatial", "pointer", "score"))
        one.bank.prompted[frame] = FrameMemory(frame, *parts).to(device)
    for frame in fields["outputs"]:
        one.outputs[frame] = _read_output(f"{own}outputs/{frame}/", tensors, device)
    tracked = zip(
        tensors[f"{own}tracked"].tolist(), tensors[f"{own}directions"].tolist(), strict=True
    )
    one.directions = {frame: DIRECTIONS[way] for frame, way in tracked}  # type: ignore[misc]
    if fields["has_masklet"]:
        prefix = f"{own}scores/"
        columns = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        one.masklet = MaskletStore.restored(one.object_id, tracker.history, tracker.size, columns)
    one.prompts = dict(_read_prompts(fields["prompts"], tensors))
    _read_rounds(tracker, one, fields, tensors)


def _read_rounds(tracker: Tracker, one: TrackedObject, fields: Document, tensors: Named) -> None:
    """Make the calls that are not remembered yet: those with an answer, then those without."""
    device = tracker.model.device
    for frame, initial in fields["pending"]:
        key = f"{one.object_id}/pending/{frame}/"
        full = tensors.get(f"{key}full_logits")
        answer = PromptedOutput(
            _read_output(key, tensors, device),
            tensors[f"{key}pointer"].to(device),
            None if full is None else full.to(device),
        )
        direction: Direction | None = None if initial else "forward"
        one.rounds[frame] = (Round(one.prompts[frame], direction, answer=answer),)
    for frame, prompts in _read_prompts(fields["rounds"], tensors):
        ask(tracker, one, frame, prompts)


def _write_output(key: str, output: FrameOutput, tensors: Named) -> None:
    tensors[f"{key}logits"] = output.logits_1hw
    tensors[f"{key}iou"] = output.iou_1
    tensors[f"{key}score"] = output.score_1


def _read_output(key: str, tensors: Named, device: torch.device) -> FrameOutput:
    return FrameOutput(*(tensors[f"{key}{name}"].to(device) for name in ("logits", "iou", "score")))


def _write_prompts(key: str, frame: int, prompts: FramePrompts, tensors: Named) -> Document:
    if prompts.mask_hw is not None:
        tensors[f"{key}mask"] = prompts.mask_hw
    return {
        "frame": frame,
        "clicks": [[*click.xy, click.positive] for click in prompts.clicks],
        "box": prompts.box,
        "mask": None if prompts.mask_hw is None else f"{key}mask",
    }


def _read_prompts(rows: list[Document], tensors: Named) -> Iterator[tuple[int, FramePrompts]]:
    for row in rows:
        clicks = tuple(Click((x, y), positive=bool(sign)) for x, y, sign in row["clicks"])
        box = None if row["box"] is None else tuple(row["box"])
        mask = None if row["mask"] is None else tensors[row["mask"]]
        yield row["frame"], FramePrompts(clicks, box, mask)
