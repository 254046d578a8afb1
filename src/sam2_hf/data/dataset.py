"""Photos or videos from which clips are taken, whatever they are made of."""

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

MANY_OPINIONS = 2**16
HASH_DIGITS = 16


class ClipDataset(ABC):
    """Items that are numbered from 0.

    Args:
        config: Where they lie and how clips are taken from them.
    """

    def __init__(self, config: SourceConfig) -> None:
        self.config = config

    @abstractmethod
    def __len__(self) -> int:
        """Count the photos or videos."""

    @abstractmethod
    def name(self, item: int) -> str:
        """Say what an item is called."""

    @abstractmethod
    def recording(self, item: int, rng: np.random.Generator | None = None) -> AnnotatedVideo:
        """Open an item.

        Args:
            item: Its number.
            rng: Draws what is to be drawn about the item itself; None takes all there is.

        Raises:
            DataError: It cannot be used.
        """

    def fingerprint(self) -> str:
        """Tell sources apart whose items have other names, or come in another order."""
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
        config: Where it lies and how clips are taken from it.
        table: With the columns of [`VideoRow`].
        names: Of its rows; what the column `name` holds by default.
    """

    def __init__(
        self, config: SourceConfig, table: "datasets.Dataset", names: Sequence[str] | None = None
    ) -> None:
        super().__init__(config)
        self._names: Sequence[str] = table["name"][:] if names is None else names
        # As Arrow, embedded pictures stay undecoded until one of them is looked at.
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
        opinion = int(rng.integers(MANY_OPINIONS))
        unions = self.config.unions
        if not unions:
            return RowRecording(row, opinion)
        return RowRecording(row, opinion, lambda labels_hw: draw_unions(labels_hw, unions, rng))


def fingerprint(names: Iterable[str]) -> str:
    """Count names and hash them, in their order."""
    listed = list(names)
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()
    return f"{len(listed)} items {digest[:HASH_DIGITS]}"
