"""What tracking found out about a frame, small enough to keep for every frame of a long video.

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
        object_id: The person's number for it.
        segmentation: Its mask, in COCO's compressed run lengths; no pixel where it is hidden.
        area: Pixels of the mask.
        predicted_iou: Predicted quality of the mask, 0-1.
        object_score: Whether it is in view, logits; above 0 it is.
        prompted: Whether a person pointed at it on this frame.
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
        """Collect what is kept of a frame; objects without a mask on it are left out.

        Args:
            frame: Its number.
            masklets: The objects.
            prompted: Ids of those that a person pointed at on this frame.
            time_s: When it is shown, seconds; None if unknown.
        """
        objects = (
            ObjectOnFrame(
                one.object_id,
                one.rle(frame),
                one.area(frame),
                one.iou(frame),
                one.object_score(frame),
                one.object_id in prompted,
            )
            for one in sorted(masklets, key=lambda one: one.object_id)
            if frame in one
        )
        return cls(frame, time_s, tuple(objects))

    @classmethod
    def from_json(cls, text: str | bytes) -> "TrackedFrame":
        """Read what `to_json` wrote.

        Raises:
            DataError: It is something else.
        """
        content: dict[str, Any] = parse_json(text, "a tracked frame")
        try:
            objects = tuple(ObjectOnFrame(**one) for one in content["objects"])
            return cls(content["frame"], content["time_s"], objects)
        except (TypeError, LookupError) as error:
            raise DataError(f"{text[:60]!r} is no tracked frame ({error!r}).") from error

    def to_json(self) -> str:
        """Write everything in one line; numbers keep every digit."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def masks(self) -> dict[int, NDArray[np.bool_]]:
        """Draw every mask, by object id."""
        return {one.object_id: one.mask() for one in self.objects}


class FrameJournal:
    """A file to which tracked frames are added, and from which they come back in order.

    Memory holds one number per frame. A frame that is added again replaces the earlier one.

    Args:
        path: The file; made if need be, and read if it is there.
        length: Bytes of it that count, the rest is cut off; all if None.

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
        """Make sure that everything is on the disk, and tell how many bytes that is.

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
        """Let go of the file."""
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
