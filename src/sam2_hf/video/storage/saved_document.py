"""Validation of a saved session: its document, tensors and records, before anything is built.

Checksums detect damaged bytes; this detects modified files. Every problem raises a `SessionError`
that names it.

Suffixes: b = objects (1 here), d = decoder channels, h, w = rows and columns.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2_hf import rle
from sam2_hf.errors import PromptError, SessionError
from sam2_hf.processing.prompt_reading import Click
from sam2_hf.video.compat.transformers_prompts import check_near_frame
from sam2_hf.video.masklet import KIND as MASK
from sam2_hf.video.memory_bank import FURTHER_POINTERS, FURTHER_SPATIAL, MEMORY, NOTES, OUTPUT
from sam2_hf.video.prompts import LARGEST_ID, FramePrompts
from sam2_hf.video.session_options import MEMORY_POLICIES, SessionOptions
from sam2_hf.video.tracking_model import TrackingModel

from .record_store import RecordStore

Document = dict[str, Any]
Named = Mapping[str, Tensor]
DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}
LARGEST_SIDE = 1 << 20  # pixels
CLICK_NUMBERS, BOX_NUMBERS = 3, 4


@dataclass(frozen=True, slots=True)
class SavedShapes:
    """Expected shapes of a session's tensors for a model and a video.

    Attributes:
        size: `(height, width)` of the original frames.
        num_frames: Maximum number of frames.
        side: Input size of the model.
        mask: Rows and columns of mask logits.
        spatial: Shape of a spatial memory.
        pointer: Channels of an object pointer.
        memory_dtype: Dtype of spatial memories.
    """

    size: tuple[int, int]
    num_frames: int
    side: int
    mask: tuple[int, int]
    spatial: tuple[int, ...]
    pointer: int
    memory_dtype: torch.dtype

    @classmethod
    def of(cls, model: TrackingModel, video: Document, options: SessionOptions) -> "SavedShapes":
        """Derive them from the model and the checked parts of the document."""
        side = model.image_size
        size, num_frames = video["size"], video["num_frames"]
        return cls(
            (side, side) if size is None else (size[0], size[1]),
            LARGEST_ID if num_frames is None else num_frames,
            side,
            model.mask_input_size,
            (1, *model.memory_shape),
            model.hidden_dim,
            options.memory_dtype,
        )

    def memory(self) -> dict[str, tuple[int, ...]]:
        """List the tensors of a tracked frame's record."""
        return self.output() | {
            "spatial": self.spatial,
            "pointer": (1, self.pointer),
        }

    def by_policies(self, record: Named) -> dict[str, tuple[int, ...]]:
        """List the tensors that memory policies add to a record: notes, further hypotheses."""
        widths: dict[str, tuple[int, ...]] = {
            f"{NOTES}{name}": (width,)
            for policy in MEMORY_POLICIES.values()
            for name, width in policy.notes_width.items()
        }
        pair = {FURTHER_SPATIAL, FURTHER_POINTERS}
        if not pair <= record.keys():
            return widths
        count = max(len(record[FURTHER_POINTERS]), 1) if record[FURTHER_POINTERS].ndim else 1
        further: dict[str, tuple[int, ...]] = {
            FURTHER_SPATIAL: (count, *self.spatial[1:]),
            FURTHER_POINTERS: (count, self.pointer),
        }
        return widths | further

    def output(self) -> dict[str, tuple[int, ...]]:
        """List the tensors of an output."""
        return {"logits": (1, *self.mask), "iou": (1,), "score": (1,)}


def check_document(document: object) -> Document:
    """Check everything that needs neither model nor tensors: options, model, video, object ids.

    Raises:
        SessionError: Names the missing or invalid part.
    """
    known = _mapping(document, ("options", "model", "video", "objects"), "the document")
    if not isinstance(known["model"], str):
        raise SessionError(f"the model is {known['model']!r}; it must be a text")
    video = _mapping(known["video"], ("size", "num_frames", "num_received"), "the video")
    if video["size"] is not None:
        sides = _rows(video["size"], "the size of the video")
        if len(sides) != 2:
            raise SessionError(f"the size of the video is {sides}; it must be two numbers")
        for side in sides:
            _whole(side, 1, LARGEST_SIDE, "a side of the video")
    for name in ("num_frames", "num_received"):
        if video[name] is not None:
            _whole(video[name], 0, LARGEST_ID, name)
    ids = [
        _whole(_mapping(entry, ("id",), "an object")["id"], -LARGEST_ID, LARGEST_ID, "an object id")
        for entry in _rows(known["objects"], "the list of objects")
    ]
    _require_unique(ids, "object ids")
    return known


def read_options(saved: object) -> SessionOptions:
    """Read options; those unknown to the saving version get their defaults.

    Raises:
        SessionError: An option is unknown, of the wrong type, or invalid.
    """
    given = _mapping(saved, (), "the options")
    standard = SessionOptions()
    names = {field.name for field in fields(SessionOptions)}
    if unknown := sorted(set(given) - names):
        raise SessionError(f"there is no option {unknown[0]!r}")
    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if name == "memory_dtype":
            if not isinstance(value, str) or value not in DTYPES:
                raise SessionError(f"memory_dtype is {value!r}; it must be one of {list(DTYPES)}")
            chosen[name] = DTYPES[value]
        elif name == "spill_folder":
            if not isinstance(value, str | None):
                raise SessionError(f"spill_folder is {value!r}; it must be a path")
            chosen[name] = None if value is None else Path(value)
        else:
            chosen[name] = _like_default(name, value, getattr(standard, name))
    return SessionOptions(**chosen)


def check_frames(video: Document, tensors: Named, shapes: SavedShapes) -> None:
    """Check the saved stream frames with open prompts.

    Raises:
        SessionError: Names the problem.
    """
    frames = [
        _whole(frame, 0, (video["num_received"] or 0) - 1, "a frame of the stream")
        for frame in _rows(video.get("frames", []), "the frames of the stream")
    ]
    _require_unique(frames, "frames of the stream")
    for frame in frames:
        name = f"frames/{frame}"
        if name not in tensors:
            raise SessionError(f"tensor {name} is missing")
        _check_tensor(tensors[name], (3, shapes.side, shapes.side), None, f"tensor {name}")


def check_objects(
    objects: list[Document], tensors: Named, history: RecordStore, shapes: SavedShapes
) -> None:
    """Check prompts, answers, memories and masks of all objects.

    Raises:
        SessionError: Names the object and the problem.
    """
    for entry in objects:
        _ObjectCheck(entry, tensors, shapes).run()
    ids = {entry["id"] for entry in objects}
    areas: dict[int, dict[int, int]] = {object_id: {} for object_id in ids}
    for (object_id, frame, kind), _ in history.places():
        _whole(frame, 0, shapes.num_frames - 1, "the frame of a record")
        if object_id not in ids:
            continue  # of a removed object; the record is dropped
        what = f"the {kind} of object {object_id} on frame {frame}"
        record = history.get((object_id, frame, kind)) or {}
        history.tensor_names |= {*record}
        if kind in (MEMORY, OUTPUT):
            _check_memory(record, shapes, what)
        elif kind == MASK:
            areas[object_id][frame] = _check_mask(record, shapes, what)
        else:
            raise SessionError(f"{kind!r} is not a kind of record")
    for object_id, found in areas.items():
        names = (f"{object_id}/scores/{name}" for name in ("frame", "area"))
        scored = [tensors[name].tolist() if name in tensors else [] for name in names]
        if found != dict(zip(*scored, strict=True)):
            raise SessionError(f"masks of object {object_id} are not those that its scores tell of")


class _ObjectCheck:
    """One object of the document.

    Args:
        entry: Its entry in the document.
        tensors: The tensors of all objects.
        shapes: Expected shapes.
    """

    def __init__(self, entry: Document, tensors: Named, shapes: SavedShapes) -> None:
        names = (
            "id",
            "prompts",
            "rounds",
            "asked",
            "prompted",
            "outputs",
            "pending",
            "has_masklet",
        )
        self._what = f"object {entry['id']}"
        self._own = f"{entry['id']}/"
        self._fields = _mapping(entry, names, self._what)
        self._tensors = tensors
        self._shapes = shapes

    def run(self) -> None:
        """Check everything."""
        prompts = self._prompts("prompts")
        _require_unique(prompts, f"frames with prompts of {self._what}")
        asked = self._asked()
        if not set(self._prompts("rounds")) <= set(asked) & set(prompts):
            raise SessionError(f"{self._what} has an open question about a frame without a prompt")
        prompted = self._frames("prompted")
        if set(prompted) != set(self._frames("outputs")):
            raise SessionError(f"memories and answers of {self._what} are of different frames")
        answer = self._shapes.output()
        for frame in prompted:
            self._memory(f"{self._own}prompted/{frame}/")
            self._all(f"{self._own}outputs/{frame}/", answer)
        for number in range(self._references()):
            self._memory(f"{self._own}references/{number}/")
        pending = self._pending()
        if not set(pending) <= set(prompts):
            raise SessionError(f"{self._what} has an answer on a frame without a prompt")
        for frame in pending:
            key, side = f"{self._own}pending/{frame}/", self._shapes.side
            self._all(key, answer | {"pointer": (1, self._shapes.pointer)})
            if f"{key}full_logits" in self._tensors:
                self._tensor(f"{key}full_logits", (1, 1, side, side))
        self._directions()
        self._scores()

    def _prompts(self, name: str) -> list[int]:
        """Check rows of prompts; return their frames."""
        found = []
        for row in _rows(self._fields[name], f"{name} of {self._what}"):
            known = _mapping(row, ("frame", "clicks", "box", "mask"), f"a prompt of {self._what}")
            frame = self._frame(known["frame"])
            what = f"{self._what} on frame {frame}"
            if not (known["clicks"] or known["box"] or known["mask"]):
                raise SessionError(f"the prompt of {what} is empty")
            if known["mask"] is not None:
                self._mask_prompt(name, frame, known, what)
            else:
                self._check_places(known, what)
            found.append(frame)
        return found

    def _mask_prompt(self, name: str, frame: int, row: Document, what: str) -> None:
        prefix = f"{self._own}{name}/{frame}/"
        key, side = row["mask"], self._shapes.side
        if not isinstance(key, str) or not key.startswith(prefix) or not key.endswith("mask"):
            raise SessionError(f"the mask of {what} is in {key!r}")
        if row["clicks"] or row["box"] is not None:
            raise SessionError(f"{what} has a mask together with clicks or a box")
        if key not in self._tensors or self._tensors[key].dtype != torch.bool:
            raise SessionError(f"the mask of {what} is missing, or not boolean")
        if tuple(self._tensors[key].shape) != (side, side):
            raise SessionError(f"the mask of {what} is not {side} x {side}")

    def _check_places(self, row: Document, what: str) -> None:
        """Check clicks and box."""
        clicks = []
        for click in _rows(row["clicks"], f"clicks of {what}"):
            numbers = _rows(click, f"a click of {what}")
            if len(numbers) != CLICK_NUMBERS or not isinstance(numbers[2], bool):
                raise SessionError(
                    f"a click of {what} is {numbers}; it must be x, y, true or false"
                )
            x, y = (_number(value, f"a click of {what}") for value in numbers[:2])
            clicks.append(Click((x, y), positive=numbers[2]))
        box = None
        if row["box"] is not None:
            sides = [_number(value, f"the box of {what}") for value in _rows(row["box"], "a box")]
            if len(sides) != BOX_NUMBERS:
                raise SessionError(f"the box of {what} has {len(sides)} numbers; it must have four")
            box = (sides[0], sides[1], sides[2], sides[3])
        try:
            check_near_frame(FramePrompts(tuple(clicks), box), self._shapes.size, what)
        except PromptError as error:
            raise SessionError(str(error)) from error

    def _asked(self) -> list[int]:
        found = []
        for row in _rows(self._fields["asked"], f"questions about {self._what}"):
            frame, direction, has_mask = _row_of(row, 3, f"a question about {self._what}")
            if direction not in (None, "forward", "backward") or not isinstance(has_mask, bool):
                raise SessionError(f"a question about {self._what} is {row}")
            found.append(self._frame(frame))
        return found

    def _pending(self) -> list[int]:
        found = []
        for row in _rows(self._fields["pending"], f"open answers of {self._what}"):
            frame, initial = _row_of(row, 2, f"an open answer of {self._what}")
            if not isinstance(initial, bool):
                raise SessionError(f"an open answer of {self._what} is {row}")
            found.append(self._frame(frame))
        _require_unique(found, f"open answers of {self._what}")
        return found

    def _references(self) -> int:
        """Return the number of references; earlier versions wrote none."""
        what = f"the number of references of {self._what}"
        count = _whole(self._fields.get("references", 0), 0, LARGEST_ID, what)
        prefix = f"{self._own}references/"
        held = {name.split("/")[2] for name in self._tensors if name.startswith(prefix)}
        if count != len(held):
            raise SessionError(f"{what} is {count}, and there are {len(held)}")
        return count

    def _memory(self, key: str) -> None:
        """Check the memory of a prompted frame or a reference."""
        self._tensor(f"{key}spatial", self._shapes.spatial, self._shapes.memory_dtype)
        self._tensor(f"{key}pointer", (1, self._shapes.pointer))
        self._tensor(f"{key}score", (1, 1))

    def _frames(self, name: str) -> list[int]:
        frames = [
            self._frame(value) for value in _rows(self._fields[name], f"{name} of {self._what}")
        ]
        _require_unique(frames, f"{name} frames of {self._what}")
        return frames

    def _frame(self, value: object) -> int:
        return _whole(value, 0, self._shapes.num_frames - 1, f"a frame of {self._what}")

    def _directions(self) -> None:
        """Check tracked frames and their directions."""
        tracked = self._column(f"{self._own}tracked", torch.int64)
        ways = self._column(f"{self._own}directions", torch.uint8)
        for frame in tracked:
            self._frame(frame)
        _require_unique(tracked, f"tracked frames of {self._what}")
        if len(ways) != len(tracked) or not set(ways) <= {0, 1}:
            raise SessionError(f"the directions of {self._what} do not fit its tracked frames")

    def _scores(self) -> None:
        """Check the table of scores."""
        if not isinstance(self._fields["has_masklet"], bool):
            raise SessionError(f"has_masklet of {self._what} is {self._fields['has_masklet']!r}")
        prefix = f"{self._own}scores/"
        if not self._fields["has_masklet"]:
            if any(name.startswith(prefix) for name in self._tensors):
                raise SessionError(f"{self._what} has scores but no masklet")
            return
        frames = self._column(f"{prefix}frame", torch.int64)
        for frame in frames:
            self._frame(frame)
        _require_unique(frames, f"masks of {self._what}")
        area = self._column(f"{prefix}area", torch.int64)
        height, width = self._shapes.size
        if len(area) != len(frames) or any(not 0 <= pixels <= height * width for pixels in area):
            raise SessionError(f"areas of {self._what} do not fit its masks")
        for name in ("iou", "object_score"):
            self._tensor(f"{prefix}{name}", (len(frames),), torch.float32)

    def _column(self, name: str, dtype: torch.dtype) -> list[int]:
        column = self._tensors.get(name)
        if column is None or column.ndim != 1 or column.dtype != dtype:
            raise SessionError(f"column {name} is missing, or not a list of {dtype}")
        values: list[int] = column.tolist()
        return values

    def _all(self, key: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            self._tensor(f"{key}{name}", shape)

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> None:
        if name not in self._tensors:
            raise SessionError(f"tensor {name} is missing")
        _check_tensor(self._tensors[name], shape, dtype, f"tensor {name}")


def _check_memory(record: Named, shapes: SavedShapes, what: str) -> None:
    known = shapes.memory() | shapes.by_policies(record)
    if not record or not record.keys() <= known.keys():
        raise SessionError(f"{what} holds {sorted(record)}")
    for name, tensor in record.items():
        dtype = shapes.memory_dtype if name in ("spatial", FURTHER_SPATIAL) else None
        _check_tensor(tensor, known[name], dtype, f"{name} in {what}")


def _check_mask(record: Named, shapes: SavedShapes, what: str) -> int:
    """Check run lengths; return the area in pixels."""
    counts = record.get("counts")
    if counts is None or len(record) > 1 or counts.ndim != 1 or counts.dtype != torch.uint8:
        raise SessionError(f"{what} holds {sorted(record)}")
    size = [*shapes.size]
    try:
        text = counts.numpy().tobytes().decode("ascii")
        runs = rle.from_coco({"size": size, "counts": text})
    except Exception as error:  # it may hold any text
        raise SessionError(f"{what} is not valid run lengths: {error}") from error
    if sum(runs["counts"]) != size[0] * size[1] or any(run < 0 for run in runs["counts"]):
        raise SessionError(f"{what} has runs that do not fill a frame of {size}")
    return rle.area(runs)


def _check_tensor(
    tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None, what: str
) -> None:
    if tuple(tensor.shape) != shape:
        raise SessionError(f"{what} has the shape {tuple(tensor.shape)}; it must be {shape}")
    allowed = DTYPES.values() if dtype is None else (dtype,)
    if tensor.dtype not in allowed:
        raise SessionError(f"{what} is {tensor.dtype}")
    if not tensor.isfinite().all():
        raise SessionError(f"{what} holds a number that is not finite")


def _like_default(name: str, value: object, default: object) -> object:
    """Check that an option's value has the type of its default."""
    if name == "max_cond_frames_in_attn":
        return None if value is None else _whole(value, -1, LARGEST_ID, name)
    if name == "latency_budget":
        return None if value is None else _number(value, name)
    if default is None:  # `SessionOptions` checks other values
        return tuple(value) if isinstance(value, list) else value
    if isinstance(default, bool) or not isinstance(default, int):
        if type(value) is not type(default):
            raise SessionError(f"{name} is {value!r}; it must be a {type(default).__name__}")
        return value
    return _whole(value, 0, LARGEST_ID, name)


def _mapping(value: object, names: Collection[str], what: str) -> Document:
    if not isinstance(value, dict):
        raise SessionError(f"{what} is a {type(value).__name__}; it must be a mapping")
    if missing := [name for name in names if name not in value]:
        raise SessionError(f"{what} lacks {', '.join(missing)}")
    return value


def _rows(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise SessionError(f"{what} is a {type(value).__name__}; it must be a list")
    return value


def _row_of(value: object, length: int, what: str) -> list[Any]:
    row = _rows(value, what)
    if len(row) != length:
        raise SessionError(f"{what} has {len(row)} parts; it must have {length}")
    return row


def _whole(value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SessionError(f"{what} is {value!r}; it must be a whole number")
    if not least <= value <= most:
        raise SessionError(f"{what} is out of range: not within {least} to {most}")
    return value


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SessionError(f"{what} holds {value!r}; it must be a number")
    if not abs(value) <= LARGEST_SIDE * LARGEST_SIDE or math.isnan(value):
        raise SessionError(f"{what} holds a number that is not a position")
    return float(value)


def _require_unique(values: list[int], what: str) -> None:
    if len(set(values)) != len(values):
        raise SessionError(f"{what} come twice")
