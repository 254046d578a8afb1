"""Clip datasets: photos or videos that clips are sampled from."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .annotated_video import AnnotatedVideo, RowRecording
from .clip import Clip
from .clip_sampling import sample_clip, whole_clip
from .config import SourceConfig
from .frame_annotations import draw_unions
from .rows import VideoRow

if TYPE_CHECKING:
    import datasets


HASH_DIGITS = 16


class ClipDataset(ABC):
    """Base of datasets; items are numbered from 0.

    Args:
        config: The source, and how clips are sampled.
    """

    def __init__(self, config: SourceConfig) -> None:
        self.config = config

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of photos or videos."""

    @abstractmethod
    def name(self, item: int) -> str:
        """Return the name of an item."""

    @abstractmethod
    def recording(self, item: int, rng: np.random.Generator | None = None) -> AnnotatedVideo:
        """Open an item.

        Args:
            item: Its number.
            rng: Draws an annotator and unions of labels; None takes all objects.

        Raises:
            DataError: It cannot be used.
        """

    def fingerprint(self) -> str:
        """Hash the names of the items in order, to detect changes."""
        return fingerprint(self.name(item) for item in range(len(self)))

    def draw_clip(self, item: int, image_size: int, rng: np.random.Generator) -> Clip:
        """Draw a clip of an item, at the model's input size.

        Raises:
            DataError: It cannot be used.
            MissingPackageError: It is a video file, and PyAV is not installed.
        """
        return sample_clip(self.recording(item, rng), self.config, image_size, rng)

    def whole_clip(self, item: int) -> Clip:
        """Take all frames of an item at full size, with the objects of the first, for evaluation.

        Raises:
            DataError: It cannot be used.
            MissingPackageError: It is a video file, and PyAV is not installed.
        """
        return whole_clip(self.recording(item), self.config)


class TableSource(ClipDataset):
    """The rows of a table.

    Args:
        config: The source, and how clips are sampled.
        table: With the columns of [`VideoRow`].
        names: Of its rows; by default the column `name`.
    """

    def __init__(
        self, config: SourceConfig, table: "datasets.Dataset", names: Sequence[str] | None = None
    ) -> None:
        super().__init__(config)
        self._names: Sequence[str] = table["name"][:] if names is None else names
        # As Arrow, embedded pictures stay undecoded until they are accessed.
        self.table = table.with_format("arrow")

    def __len__(self) -> int:
        return len(self._names)

    def name(self, item: int) -> str:
        """See [`ClipDataset.name`]."""
        return self._names[item]

    def recording(self, item: int, rng: np.random.Generator | None = None) -> AnnotatedVideo:
        """See [`ClipDataset.recording`]."""
        columns = self.table[item].to_pylist()[0]
        row = VideoRow.from_columns({**columns, "name": self.name(item)})
        if rng is None:
            return RowRecording(row)
        annotator = int(rng.integers(2**16))
        unions = self.config.unions
        if not unions:
            return RowRecording(row, annotator)
        return RowRecording(row, annotator, lambda labels_hw: draw_unions(labels_hw, unions, rng))


def fingerprint(names: Iterable[str]) -> str:
    """Return the number of names and a hash of them in order."""
    listed = list(names)
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()
    return f"{len(listed)} items {digest[:HASH_DIGITS]}"
