"""Masklets: masks of one object as run lengths, with scores in 16 bytes per frame.

Suffixes: h, w = rows and columns in pixels of the original frame.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf import rle
from sam2_hf.errors import FrameError, SessionError
from sam2_hf.video.storage.record_store import Key, RecordStore


class FrameScore(NamedTuple):
    """Scores of one frame.

    Attributes:
        iou: Predicted IoU of the mask.
        object_score: Object score in logits. Above 0 the object is in view.
        area: Pixels of the mask, in the original frame.
    """

    iou: float
    object_score: float
    area: int


class FrameScores:
    """Table of scores, in arrays to save memory."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}  # frame -> row
        self._unused: list[int] = []  # free rows
        self._iou = array("f")
        self._object_score = array("f")
        self._area = array("q")

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, frame: int) -> bool:
        return frame in self._rows

    def __getitem__(self, frame: int) -> FrameScore:
        row = self._rows[frame]
        return FrameScore(self._iou[row], self._object_score[row], self._area[row])

    def __setitem__(self, frame: int, score: FrameScore) -> None:
        row = self._rows.get(frame)
        if row is None:
            row = self._new_row()
        self._iou[row], self._object_score[row], self._area[row] = score
        self._rows[frame] = row  # last: another thread may read

    def __delitem__(self, frame: int) -> None:
        self._unused.append(self._rows.pop(frame))

    def __iter__(self) -> Iterator[int]:
        """Iterate over frames in order."""
        return iter(sorted(self._rows))

    def tensors(self) -> dict[str, Tensor]:
        """Return the table as columns `frame`, `iou`, `object_score`, `area`, each (n,).

        Scores are float32, exactly as stored; the rest is int64.
        """
        frames = list(self)
        scores = [self[frame] for frame in frames]
        return {
            "frame": torch.tensor(frames, dtype=torch.int64),
            "iou": torch.tensor([score.iou for score in scores], dtype=torch.float32),
            "object_score": torch.tensor(
                [score.object_score for score in scores], dtype=torch.float32
            ),
            "area": torch.tensor([score.area for score in scores], dtype=torch.int64),
        }

    @classmethod
    def from_tensors(cls, columns: Mapping[str, Tensor]) -> "FrameScores":
        """Read the columns that `tensors` wrote."""
        table = cls()
        names = ("iou", "object_score", "area")
        rows: Iterable[FrameScore] = map(
            FrameScore._make,
            zip(*(columns[name].tolist() for name in names), strict=True),
        )
        for frame, row in zip(columns["frame"].tolist(), rows, strict=True):
            table[frame] = row
        return table

    def _new_row(self) -> int:
        if self._unused:
            return self._unused.pop()
        self._iou.append(0.0)
        self._object_score.append(0.0)
        self._area.append(0)
        return len(self._area) - 1


KIND = "mask"
RUNS_SHOWN = 8  # of consecutive frames, in an error message


class Masklet:
    """Masks of one object on all its frames; a live view that includes later frames.

    Attributes:
        object_id: The object's id.
        size: `(height, width)` of every mask, pixels of the original frame.

    Example:
        >>> masklet = tracked.masklet(1)
        >>> masklet.frames
        [0, 1, 2]
        >>> areas = [int(mask.sum()) for frame, mask in masklet]
    """

    def __init__(
        self, object_id: int, history: RecordStore, scores: FrameScores, size: tuple[int, int]
    ) -> None:
        self.object_id = object_id
        self.size = size
        self._history = history
        self._scores = scores

    @property
    def frames(self) -> list[int]:
        """Frames with a mask, in order. The mask is empty where the object is out of view."""
        return list(self._scores)

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """Draw the mask of a frame: `(height, width)`, boolean.

        Raises:
            FrameError: There is no mask on this frame.

        Example:
            >>> tracked.masklet(1).mask(2).shape
            (180, 240)
        """
        return rle.decode(rle.from_coco(self.rle(frame)))

    def rle(self, frame: int) -> rle.CocoRle:
        """Return the mask of a frame as COCO's compressed RLE, ready for JSON.

        Raises:
            FrameError: There is no mask on this frame.

        Example:
            >>> tracked.masklet(1).rle(2)["size"]
            [180, 240]
        """
        record = self._history.get(_key(self.object_id, frame)) if frame in self else None
        if record is None:
            raise self._no_mask(frame)
        return {"size": [*self.size], "counts": record["counts"].numpy().tobytes().decode("ascii")}

    def is_view_of_same(self, other: "Masklet") -> bool:
        """Whether another masklet shows the same masks, now and later.

        Example:
            >>> tracked.masklet(1).is_view_of_same(tracked.masklet(1))
            True
        """
        return self._scores is other._scores

    def iou(self, frame: int) -> float:
        """Predicted IoU of the mask, about 0 to 1.

        Raises:
            FrameError: There is no mask on this frame.

        Example:
            >>> quality = tracked.masklet(1).iou(2)
        """
        return self._score(frame).iou

    def object_score(self, frame: int) -> float:
        """Object score in logits; above 0 the object is in view.

        Raises:
            FrameError: There is no mask on this frame.

        Example:
            >>> is_in_view = tracked.masklet(1).object_score(2) > 0
        """
        return self._score(frame).object_score

    def area(self, frame: int) -> int:
        """Pixels of the mask, without decoding it.

        Raises:
            FrameError: There is no mask on this frame.

        Example:
            >>> masklet = tracked.masklet(1)
            >>> masklet.area(2) == int(masklet.mask(2).sum())
            True
        """
        return self._score(frame).area

    def __len__(self) -> int:
        return len(self._scores)

    def __contains__(self, frame: int) -> bool:
        return frame in self._scores

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Iterate over frames and masks in order, decoding masks lazily."""
        return ((frame, self.mask(frame)) for frame in self.frames)

    def _score(self, frame: int) -> FrameScore:
        if frame not in self:
            raise self._no_mask(frame)
        return self._scores[frame]

    def _no_mask(self, frame: int) -> FrameError:
        return FrameError(
            f"object {self.object_id} has no mask on frame {frame}. Frames with a mask: "
            f"{describe_frames(self.frames)}. session.propagate() tracks further."
        )


class MaskletStore:
    """Writable side of a masklet, owned by a session.

    Args:
        object_id: The caller's number of the object.
        history: Store of the masks.
        size: `(height, width)` of every mask, pixels of the original frame.
        scores: Scores of masks that are already in `history`.
    """

    def __init__(
        self,
        object_id: int,
        history: RecordStore,
        size: tuple[int, int],
        scores: FrameScores | None = None,
    ) -> None:
        self._object_id = object_id
        self._history = history
        self._size = size
        self._scores = FrameScores() if scores is None else scores

    @property
    def masklet(self) -> Masklet:
        """The read-only view."""
        return Masklet(self._object_id, self._history, self._scores, self._size)

    def put(
        self, frame: int, mask_hw: NDArray[np.bool_] | Tensor, iou: float, score: float
    ) -> None:
        """Store the mask of a frame, replacing an older one.

        Args:
            frame: Frame number.
            mask_hw: `(height, width)`, boolean.
            iou: Predicted IoU.
            score: Object score, logits.

        Raises:
            OutputError: The disk is full; the mask is stored anyway, see `RecordStore.put`.
            SessionError: The mask's size differs from the video's.
        """
        if tuple(mask_hw.shape) != self._size:
            raise SessionError(
                f"the mask of object {self._object_id} on frame {frame} is {tuple(mask_hw.shape)}, "
                f"and frames are {self._size} (height, width). All frames must have one size."
            )
        runs = rle.encode(mask_hw)
        counts = bytearray(rle.to_coco(runs)["counts"], "ascii")
        scored = FrameScore(iou, score, rle.area(runs))
        try:
            self._history.put(
                _key(self._object_id, frame),
                {"counts": torch.frombuffer(counts, dtype=torch.uint8)},
            )
        finally:  # last: another thread expects a mask for every frame with scores
            self._scores[frame] = scored

    def discard(self, frame: int) -> None:
        """Delete the mask of a frame, if any."""
        if frame in self._scores:
            del self._scores[frame]
        self._history.discard(_key(self._object_id, frame))

    def clear(self) -> None:
        """Delete all masks."""
        for frame in list(self._scores):
            self.discard(frame)

    def tensors(self) -> dict[str, Tensor]:
        """Return the scores as columns; the masks are in the history."""
        return self._scores.tensors()

    @classmethod
    def restored(
        cls,
        object_id: int,
        history: RecordStore,
        size: tuple[int, int],
        columns: Mapping[str, Tensor],
    ) -> "MaskletStore":
        """Restore a masklet whose masks are in the history from the output of `tensors`."""
        return cls(object_id, history, size, FrameScores.from_tensors(columns))


def describe_frames(frames: list[int]) -> str:
    """Summarize frames, such as "0-5, 9 (7 frames)"; "none" if there are none."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:RUNS_SHOWN]]
    if len(runs) > RUNS_SHOWN:
        shown.append(f"... {runs[-1][1]}")
    count = f"{len(frames)} frame{'s' * (len(frames) > 1)}"
    return f"{', '.join(shown)} ({count})" if frames else "none"


def _key(object_id: int, frame: int) -> Key:
    return object_id, frame, KIND
