"""Session checkpoints: a session's state to and from a document and tensors.

Video and model are not included: frames are decoded and encoded again, bit-exactly.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2_hf.errors import Sam2Error, SessionError
from sam2_hf.frames.borrowed import borrow_frames
from sam2_hf.frames.open import Frames, open_frames
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.model.checkpoints.weight_fingerprint import is_same_model
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.processing.prompt_reading import Click
from sam2_hf.video.frame_encoder import model_mark, require_video_model, sized_model
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.masklet import MaskletStore
from sam2_hf.video.policies.memory_policy import Direction
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracked_object import PromptedOutput, QueuedPrompts, TrackedObject
from sam2_hf.video.tracker import Tracker
from sam2_hf.video.tracking_model import TrackingModel
from sam2_hf.video.video_processing_sam2_video import checkpoint_pixels

from .checkpoint_files import (
    FORMAT,
    PLAIN_FORMAT,
    SavedSession,
    damage_explained,
    read_session,
    write_session,
)
from .saved_document import SavedShapes, check_document, check_frames, check_objects, read_options
from .video_fingerprint import Fingerprint, require_same_video, video_fingerprint

Named = dict[str, Tensor]
Document = dict[str, Any]
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward")
# tensor name in the file -> field of the value
OUTPUT = {"logits": "logits_1hw", "iou": "iou_1", "score": "score_1"}
MEMORY = {"spatial": "spatial_bx", "pointer": "pointer_bd", "score": "score_b1"}
PENDING = {"pointer": "pointer_1d", "full_logits": "full_logits_11hw"}
# What a version that reads only PLAIN_FORMAT knows. Later options are left out at their defaults.
PLAIN_OPTIONS = frozenset(
    (
        *("add_all_frames_to_correct_as_cond", "prev_sam_mask_logits"),
        *("clear_non_cond_mem_around_input", "memory_temporal_stride_for_eval"),
        *("max_cond_frames_in_attn", "binarize_mask_from_pts_for_mem_enc"),
        *("dynamic_multimask_via_stability", "non_overlap_masks", "non_overlap_masks_for_mem_enc"),
        *("fill_hole_area", "mask_prompts_at_full_resolution", "pointer_times", "frame_compat"),
        *("value_range", "memory_policy", "memory_dtype", "skip_backward_from_first", "keep"),
        *("window", "ram_budget", "spill_folder", "cached_features", "compile"),
    )
)
PLAIN_POLICY = "sam2"
PLAIN_RECORDS = frozenset(("spatial", "pointer", "logits", "iou", "score", "counts"))


def save_tracker(tracker: Tracker, folder: Path) -> None:
    """Write a session's state; see `VideoSession.save`."""
    frames = tracker.frames
    with contextlib.suppress(Sam2Error):  # prompts that cannot be decoded are saved undecoded
        tracker.answer_all_prompts()
    tensors: Named = _write_fingerprint(tracker)
    options = _plain(tracker.options)
    document = {
        "options": options,
        "model": model_mark(tracker.model),
        "video": {
            "size": frames.size,
            "num_frames": frames.num_frames,
            "num_received": frames.num_received,
            "frames": _write_frames(tracker, tensors),
        },
        "objects": [_write_object(obj, tensors) for obj in tracker.objects.values()],
    }
    store, needed = tracker.registry.store, _needed_format(tracker, options)
    write_session(folder, SavedSession(document, tensors, store, needed))


def load_tracker(folder: Path, video: object, model: TrackingModel) -> Tracker:
    """Read a session's state; see `VideoSession.load`."""
    saved = read_session(folder, ram_budget=SessionOptions().ram_budget)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(saved.history.close)
        with damage_explained(folder):
            document = check_document(saved.document)
            options = read_options(document["options"])
        require_video_model(model)
        model = sized_model(model, options)
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
        tracker = Tracker(frames, options, model, store=saved.history)
        tracker.encoder.fingerprint = fingerprint or None
        known = {fields["id"] for fields in document["objects"]}
        for object_id in {key[0] for key, _ in saved.history.places()} - known:
            saved.history.discard_object(object_id)  # of a removed object; undo is not saved
        for fields in document["objects"]:
            _read_object(tracker, fields, saved.tensors)
        on_failure.pop_all()
    return tracker


def _write_fingerprint(tracker: Tracker) -> Named:
    """Store the fingerprint of the video, computed once."""
    encoder = tracker.encoder
    if encoder.fingerprint is None:
        encoder.fingerprint = video_fingerprint(encoder.frames)
    frames, small = list(encoder.fingerprint), list(encoder.fingerprint.values())
    if not frames:
        return {}
    return {"video/frames": torch.tensor(frames), "video/colors": torch.stack(small)}


def _read_fingerprint(tensors: Named, num_frames: int) -> Fingerprint:
    """Read the fingerprint; saves of earlier versions have none.

    Args:
        tensors: All saved tensors.
        num_frames: Maximum number of frames.

    Raises:
        SessionError: It is damaged.
    """
    frames, colors = tensors.get("video/frames"), tensors.get("video/colors")
    if frames is None and colors is None:
        return {}
    if frames is None or colors is None or frames.ndim != 1 or len(frames) != len(colors):
        raise SessionError("the fingerprint of the video is incomplete")
    found = dict(zip(frames.tolist(), colors.float(), strict=True))
    if any(not 0 <= frame < num_frames for frame in found):
        raise SessionError(f"the fingerprint of the video is of frames {list(found)}")
    return found


def _needed_format(tracker: Tracker, options: Document) -> int:
    """Choose the oldest format whose readers know everything that is saved."""
    is_plain = (
        options.keys() <= PLAIN_OPTIONS
        and options["memory_policy"] == PLAIN_POLICY
        and tracker.registry.store.tensor_names <= PLAIN_RECORDS
        and not tracker.registry.has_references
    )
    return PLAIN_FORMAT if is_plain else FORMAT


def _plain(options: SessionOptions) -> Document:
    """List the options for JSON, those of later versions only where they differ from defaults."""
    values, standard = asdict(options), asdict(SessionOptions())
    fields = {
        name: value
        for name, value in values.items()
        if name in PLAIN_OPTIONS or value != standard[name]
    }
    folder = options.spill_folder
    dtype = str(options.memory_dtype).removeprefix("torch.")
    return {
        **fields,
        "memory_dtype": dtype,
        "spill_folder": None if folder is None else str(folder),
    }


def _open_video(
    video: object, options: SessionOptions, saved: SavedSession, model: TrackingModel
) -> Frames:
    """Open the video and check that it is the saved one."""
    about = saved.document["video"]
    frames = open_session_frames(video, options, model)
    if frames.is_live != (about["num_received"] is not None):
        kind = "a live stream" if about["num_received"] is not None else "a video"
        raise SessionError(
            f"the saved session is one of {kind}. Give video=None for a stream only."
        )
    size = None if about["size"] is None else (about["size"][0], about["size"][1])
    if frames.is_live:
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


def open_session_frames(
    video: object, options: SessionOptions, model: TrackingModel, *, is_borrowed: bool = False
) -> Frames:
    """Open a video according to a session's options and the model's checkpoint.

    Args:
        video: The video; see [`open_frames`].
        options: The session's options.
        model: The model.
        is_borrowed: Whether `Frames` stay as they are and open; see [`borrow_frames`].

    Raises:
        SessionError: The model cannot track.
        VideoError: The video cannot be opened.
    """
    require_video_model(model)
    value_range = options.value_range
    source = LiveFrames(options.window, value_range=value_range) if video is None else video
    # an iterator cannot seek back, so it keeps as many frames as a stream
    ring = {"ring": options.window} if isinstance(video, Iterator) else {}
    opened = borrow_frames if is_borrowed else open_frames
    return opened(
        source,
        image_size=options.image_size or model.image_size,
        compat=options.frame_compat,
        rules=checkpoint_pixels(model),
        value_range=value_range,
        **ring,
    )


def _write_frames(tracker: Tracker, tensors: Named) -> list[int]:
    """Write the stream frames with queued prompts; list them."""
    frames = tracker.frames
    if not frames.is_live:
        return []
    queued = {frame for obj in tracker.objects.values() for frame in obj.queued}
    kept = sorted(frame for frame in queued if not frames.may_come(frame))
    for frame in kept:
        tensors[f"frames/{frame}"] = frames.pixel_values(frame)
    return kept


def _write_object(obj: TrackedObject, tensors: Named) -> Document:
    """Describe an object; its tensors are added to `tensors`."""
    own = f"{obj.object_id}/"
    for frame, memory in obj.bank.prompted.items():
        _write_fields(f"{own}prompted/{frame}/", memory, MEMORY, tensors)
    for number, memory in enumerate(obj.bank.references):
        _write_fields(f"{own}references/{number}/", memory, MEMORY, tensors)
    for frame, output in obj.outputs.items():
        _write_fields(f"{own}outputs/{frame}/", output, OUTPUT, tensors)
    calls = [(frame, call) for frame, several in obj.queued.items() for call in several]
    unanswered = [(frame, call) for frame, call in calls if call.answer is None]
    answered = {
        frame: (call.direction, call.answer) for frame, call in calls if call.answer is not None
    }
    for frame, (_, pending) in answered.items():
        _write_fields(f"{own}pending/{frame}/", pending.answer, OUTPUT, tensors)
        _write_fields(f"{own}pending/{frame}/", pending, PENDING, tensors)
    frames = list(obj.directions)
    tensors[f"{own}tracked"] = torch.tensor(frames, dtype=torch.int64)
    ways = [DIRECTIONS.index(obj.directions[frame]) for frame in frames]
    tensors[f"{own}directions"] = torch.tensor(ways, dtype=torch.uint8)
    if obj.masklet is not None:
        tensors |= {f"{own}scores/{name}": t for name, t in obj.masklet.tensors().items()}
    return {
        "id": obj.object_id,
        "prompts": [
            _write_prompts(f"{own}prompts/{frame}/", frame, prompts, tensors)
            for frame, prompts in obj.prompts.items()
        ],
        "rounds": [
            _write_prompts(f"{own}rounds/{frame}/{index}/", frame, call.prompts, tensors)
            for index, (frame, call) in enumerate(unanswered)
        ],
        # for older versions; this one derives it from the tracked frames
        "asked": [
            [frame, call.direction, call.previous_output is not None] for frame, call in unanswered
        ],
        "references": len(obj.bank.references),
        "prompted": list(obj.bank.prompted),
        "outputs": list(obj.outputs),
        "pending": [[frame, direction is None] for frame, (direction, _) in answered.items()],
        "has_masklet": obj.masklet is not None,
    }


def _read_object(tracker: Tracker, fields: Document, tensors: Named) -> None:
    """Restore an object from its description."""
    obj = tracker.registry.add(fields["id"], tracker.memory_device)
    own = f"{obj.object_id}/"
    device = tracker.model.device
    for frame in fields["prompted"]:
        memory = _read_fields(f"{own}prompted/{frame}/", MEMORY, tensors, device)
        obj.bank.prompted[frame] = FrameMemory(frame, **memory)
    for number in range(fields.get("references", 0)):  # missing in earlier versions
        memory = _read_fields(f"{own}references/{number}/", MEMORY, tensors, device)
        obj.bank.refer_to([FrameMemory(number, **memory)])
    for frame in fields["outputs"]:
        output = _read_fields(f"{own}outputs/{frame}/", OUTPUT, tensors, device)
        obj.update(frame, output=FrameOutput(**output))
    tracked = zip(
        tensors[f"{own}tracked"].tolist(), tensors[f"{own}directions"].tolist(), strict=True
    )
    obj.directions = {frame: DIRECTIONS[way] for frame, way in tracked}
    if fields["has_masklet"]:
        prefix = f"{own}scores/"
        columns = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        store = tracker.registry.store
        obj.masklet = MaskletStore.restored(obj.object_id, store, tracker.size, columns)
    for frame, prompts in _read_prompts(fields["prompts"], tensors):
        obj.update(frame, prompts=prompts)
    _read_queued(tracker, obj, fields, tensors)


def _read_queued(tracker: Tracker, obj: TrackedObject, fields: Document, tensors: Named) -> None:
    """Queue the calls that are not consolidated: answered ones, then the others."""
    device = tracker.model.device
    for frame, initial in fields["pending"]:
        key = f"{obj.object_id}/pending/{frame}/"
        answer = PromptedOutput(
            FrameOutput(**_read_fields(key, OUTPUT, tensors, device)),
            **_read_fields(key, PENDING, tensors, device),
        )
        direction: Direction | None = None if initial else "forward"
        call = QueuedPrompts(obj.prompts[frame], direction, answer=answer)
        obj.update(frame, queued=(call,))
    for frame, prompts in _read_prompts(fields["rounds"], tensors):
        tracker.queue_prompts(obj, frame, prompts)


def _write_fields(key: str, value: object, names: Mapping[str, str], tensors: Named) -> None:
    """Write the tensors of a value except None."""
    for name, field in names.items():
        if (tensor := getattr(value, field)) is not None:
            tensors[f"{key}{name}"] = tensor


def _read_fields(
    key: str, names: Mapping[str, str], tensors: Named, device: torch.device
) -> dict[str, Any]:
    """Read the tensors of a value, by field; only optional ones may be missing."""
    found = {field: tensors.get(f"{key}{name}") for name, field in names.items()}
    return {field: None if tensor is None else tensor.to(device) for field, tensor in found.items()}


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
