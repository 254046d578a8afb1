"""Journal of tracked frames on disk, compact enough for long videos.

Suffixes: h, w = rows and columns in pixels of the frame.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sam2_hf import rle
from sam2_hf.errors import DataError, OutputError
from sam2_hf.json_input import parse_json
from sam2_hf.rle import CocoRle
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.masklet import Masklet


@dataclass(frozen=True, slots=True)
class ObjectOnFrame:
    """One object on one frame.

    Attributes:
        object_id: Its id.
        segmentation: Its mask, in COCO's compressed run lengths; empty where it is hidden.
        area: Pixels of the mask.
        predicted_iou: Predicted quality of the mask, 0-1.
        object_score: Logits; above 0 it is in view.
        prompted: Whether it has a prompt on this frame.
    """

    object_id: int
    segmentation: CocoRle
    area: int
    predicted_iou: float
    object_score: float
    prompted: bool

    def mask(self) -> NDArray[np.bool_]:
        """Draw the mask, `(height, width)`."""
        return rle.decode(rle.from_coco(self.segmentation))

    def box(self) -> tuple[int, int, int, int]:
        """Measure left, top, width and height of the mask, pixels; zeros if it is hidden."""
        left, top, width, height = coco_mask.toBbox(dict(self.segmentation)).tolist()
        return int(left), int(top), int(width), int(height)


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """All objects on one frame.

    Attributes:
        frame: Its number, from 0.
        time_s: When it is shown, seconds; None if unknown.
        objects: In the order of their ids.
    """

    frame: int
    time_s: float | None
    objects: tuple[ObjectOnFrame, ...]

    @classmethod
    def from_result(cls, result: FrameResult, time_s: float | None = None) -> "TrackedFrame":
        """Compress a session's result."""
        objects = []
        for object_id in sorted(result.object_ids):
            runs = rle.encode(result.masks[object_id])
            found = ObjectOnFrame(
                object_id,
                rle.to_coco(runs),
                rle.area(runs),
                float(result.iou[object_id]),
                float(result.object_score[object_id]),
                object_id in result.prompted,
            )
            objects.append(found)
        return cls(result.frame, time_s, tuple(objects))

    @classmethod
    def from_masklets(
        cls,
        frame: int,
        masklets: Iterable[Masklet],
        prompted: Set[int] = frozenset(),
        time_s: float | None = None,
    ) -> "TrackedFrame":
        """Collect the objects with a mask on a frame.

        Args:
            frame: Its number.
            masklets: The objects.
            prompted: Ids of the objects with a prompt on this frame.
            time_s: When it is shown, seconds; None if unknown.
        """
        objects = (
            ObjectOnFrame(
                masklet.object_id,
                masklet.rle(frame),
                masklet.area(frame),
                masklet.iou(frame),
                masklet.object_score(frame),
                masklet.object_id in prompted,
            )
            for masklet in sorted(masklets, key=lambda masklet: masklet.object_id)
            if frame in masklet
        )
        return cls(frame, time_s, tuple(objects))

    @classmethod
    def from_json(cls, text: str | bytes) -> "TrackedFrame":
        """Parse the output of `to_json`.

        Raises:
            DataError: It has another form.
        """
        content: dict[str, Any] = parse_json(text, "a tracked frame")
        try:
            objects = tuple(ObjectOnFrame(**fields) for fields in content["objects"])
            return cls(content["frame"], content["time_s"], objects)
        except (TypeError, LookupError) as error:
            raise DataError(f"{text[:60]!r} is not a tracked frame ({error!r}).") from error

    def to_json(self) -> str:
        """Serialize to one line, with every digit of numbers."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def masks(self) -> dict[int, NDArray[np.bool_]]:
        """Draw every mask, by object id."""
        return {tracked.object_id: tracked.mask() for tracked in self.objects}


class FrameJournal:
    """Append-only file of tracked frames, read back in order.

    Memory holds one number per frame. A frame that is added again replaces the earlier one.

    Args:
        path: The file; created if missing.
        length: Number of valid bytes; the file is truncated to them. None keeps all.

    Raises:
        OutputError: It cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], *, length: int | None = None) -> None:
        self.path = Path(path)
        self._places: dict[int, int] = {}
        with contextlib.ExitStack() as on_failure:
            self._open(on_failure, length)
            on_failure.pop_all()

    @property
    def frames(self) -> list[int]:
        """Numbers of the frames, in order."""
        return sorted(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, frame: object) -> bool:
        return frame in self._places

    def __iter__(self) -> Iterator[TrackedFrame]:
        for frame in self.frames:
            self._file.seek(self._places[frame])
            yield TrackedFrame.from_json(self._file.readline())

    def add(self, tracked: TrackedFrame) -> None:
        """Add a frame.

        Raises:
            OutputError: The disk is full.
        """
        line = f"{tracked.to_json()}\n".encode()
        try:
            self._file.seek(self._length)
            self._file.write(line)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}.") from error
        self._places[tracked.frame] = self._length
        self._length += len(line)

    def secure(self) -> int:
        """Sync to disk, and return the number of bytes.

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}.") from error
        return self._length

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find_frames(self) -> None:
        self._file.seek(0)
        place = 0
        for line in self._file:
            self._places[TrackedFrame.from_json(line).frame] = place
            place += len(line)

    def _open(self, on_failure: contextlib.ExitStack, length: int | None) -> None:
        try:
            self.path.touch()
            self._file = on_failure.enter_context(self.path.open("rb+"))
            self._length = self._file.seek(0, os.SEEK_END) if length is None else length
            self._file.truncate(self._length)
            self._find_frames()
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise OutputError(
                f"{self.path} cannot be used: {error}. Free some space, or start over."
            ) from error
