"""What the decoder says of one object, frame by frame, in 16 bytes a frame."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class FrameScore(NamedTuple):
    """One frame's row.

    Attributes:
        iou: Predicted IoU of the mask.
        object_score: Object score in logits. Above 0 the object is in view.
        area: Pixels of the mask, in the original frame.
    """

    iou: float
    object_score: float
    area: int


class FrameScores:
    """A table of scores. Numbers lie in arrays, since a Python float takes 24 bytes and a name."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}  # frame -> row
        self._unused: list[int] = []  # rows of frames that were dropped
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
        """Go through the frames in order."""
        return iter(sorted(self._rows))

    def tensors(self) -> dict[str, Tensor]:
        """Write the table as columns of n rows: `frame`, `iou`, `object_score`, `area`, each (n,).

        Scores are float32, exactly as they were put in; the rest is int64.
        """
        frames = list(self)
        scores = [self[frame] for frame in frames]
        return {
            "frame": torch.tensor(frames, dtype=torch.int64),
            "iou": torch.tensor([one.iou for one in scores], dtype=torch.float32),
            "object_score": torch.tensor([one.object_score for one in scores], dtype=torch.float32),
            "area": torch.tensor([one.area for one in scores], dtype=torch.int64),
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
