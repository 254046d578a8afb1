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
from sam2_hf.model.frame_memory import FrameMemory
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.weight_fingerprint import weight_fingerprint
from sam2_hf.processing.prompts import Click

from .frame_result import FrameOutput
from .frames import Frames, open_frames
from .live_frames import LiveFrames
from .masklet import MaskletStore
from .memory_selection import Direction
from .object_prompts import FramePrompts
from .prompt_answers import answer_all, ask, is_to_come
from .session_files import SavedSession, read_session, write_session
from .session_options import SessionOptions
from .tracked_object import PromptedOutput, Round, TrackedObject
from .tracker import Tracker

Named = dict[str, Tensor]
Document = dict[str, Any]
DIRECTIONS = ("forward", "backward")


def save_tracker(tracker: Tracker, folder: Path) -> None:
    """Write a session's state; see `Sam2VideoInferenceSession.save`."""
    frames = tracker.frames
    with contextlib.suppress(Sam2Error):  # what cannot be answered is saved as it was said
        answer_all(tracker)
    tensors: Named = {}
    document = {
        "options": _plain(tracker.options),
        "model": _mark(tracker.model),
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
    try:
        options = _options(saved.document["options"])
        if saved.document["model"] != _mark(model):
            raise SessionError(
                f"the session in {folder} was saved with another model: other weights, another "
                "size or another dtype. Load it with the model it was saved with."
            )
        frames = _open_video(video, options, saved, model)
    except BaseException:
        saved.history.close()
        raise
    saved.history.ram_budget = options.ram_budget
    tracker = Tracker(frames, options, model, history=saved.history)
    known = {fields["id"] for fields in saved.document["objects"]}
    for object_id in {key[0] for key, _ in saved.history.places()} - known:
        saved.history.discard_object(object_id)  # was removed; undo is not saved
    for fields in saved.document["objects"]:
        _read_object(tracker, fields, saved.tensors)
    return tracker


def _mark(model: Sam2VideoModel) -> str:
    """Tell which model it is."""
    return weight_fingerprint(model.config, model.parameters())


def _plain(options: SessionOptions) -> Document:
    fields = asdict(options)
    folder = options.spill_folder
    dtype = str(options.memory_dtype).removeprefix("torch.")
    return {
        **fields,
        "memory_dtype": dtype,
        "spill_folder": None if folder is None else str(folder),
    }


def _options(fields: Document) -> SessionOptions:
    folder = fields["spill_folder"]
    dtype = getattr(torch, fields["memory_dtype"])
    path = None if folder is None else Path(folder)
    return SessionOptions(**{**fields, "memory_dtype": dtype, "spill_folder": path})


def _open_video(
    video: object, options: SessionOptions, saved: SavedSession, model: Sam2VideoModel
) -> Frames:
    """Open the video again, and see that it is the one that was saved."""
    about = saved.document["video"]
    side = model.prompt_encoder.image_size
    frames = open_session_frames(video, options, side)
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


def open_session_frames(video: object, options: SessionOptions, side: int) -> Frames:
    """Open a video as the options of a session want it.

    Raises:
        VideoError: It cannot be opened.
    """
    source = LiveFrames(window=options.window) if video is None else video
    # an iterator cannot go back, so it keeps as many frames as a stream does
    ring = {"ring": options.window} if isinstance(video, Iterator) else {}
    return open_frames(source, image_size=side, compat=options.frame_compat, **ring)


def _write_frames(tracker: Tracker, tensors: Named) -> list[int]:
    """Write the frames of a stream that have prompts which are not remembered yet; list them."""
    frames = tracker.frames
    if not isinstance(frames, LiveFrames):
        return []
    asked = {frame for one in tracker.objects.values() for frame in one.rounds}
    kept = sorted(frame for frame in asked if not is_to_come(frames, frame))
    for frame in kept:
        tensors[f"frames/{frame}"] = frames.pixel_values(frame)
    return kept


def _write_object(one: TrackedObject, tensors: Named) -> Document:
    """Describe an object; its tensors go into `tensors`."""
    own = f"{one.object_id}/"
    for frame, memory in one.bank.prompted.items():
        key = f"{own}prompted/{frame}/"
        tensors[f"{key}spatial"] = memory.spatial_bchw
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
