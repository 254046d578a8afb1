"""Sets of photos with the masks of their objects, read one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.sets.listed_names import require_unique
from sam2_hf.data.clip import Clip
from sam2_hf.data.clip_sampling import whole_clip
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.dataset import ClipDataset
from sam2_hf.errors import DataError, NoObjectError
from sam2_hf.training.dataset_registry import READERS, open_source

KINDS = (*READERS, "hub")
EXPECTED = f"Give NAME=KIND:PATH or KIND:PATH, where the kind is one of {', '.join(KINDS)}."


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A set of photos.

    Attributes:
        name: Name in tables.
        source: The data source.
    """

    name: str
    source: ClipDataset

    def __len__(self) -> int:
        return len(self.source)

    def photo_name(self, item: int) -> str:
        """Return the name of a photo."""
        return self.source.name(item)

    def photo_names(self) -> list[str]:
        """List the names of all photos."""
        return [self.photo_name(item) for item in range(len(self))]

    def photo(self, item: int) -> Clip | None:
        """Read a photo at full size with its objects; None if it has no usable one.

        Objects of all annotators are included.

        Raises:
            DataError: It is damaged, or a video.
        """
        recording = self.source.recording(item)
        if recording.num_frames > 1:
            raise DataError(
                f"{self.name}: {recording.place} is a video of {recording.num_frames} frames, not "
                "a photo. evaluation.run_vos takes sets of videos."
            )
        try:
            return whole_clip(recording, self.source.config)
        except NoObjectError:
            return None


def open_photo_sets(texts: Sequence[str], min_area: float) -> list[PhotoSet]:
    """Open the sets of a command line.

    Args:
        texts: `NAME=KIND:PATH` or `KIND:PATH`.
        min_area: Minimum area of objects, fraction of the photo.

    Raises:
        DataError: A text has another form, two sets have one name, or a set cannot be opened.
    """
    sets = [_open(text, min_area) for text in texts]
    require_unique([photos.name for photos in sets], f"the sets {', '.join(texts)}")
    return sets


def all_photos(sets: Sequence[PhotoSet]) -> Iterator[tuple[PhotoSet, int]]:
    """List every photo of every set, always in the same order."""
    return ((photos, item) for photos in sets for item in range(len(photos)))


def _open(text: str, min_area: float) -> PhotoSet:
    given, equals, place = text.partition("=")
    kind, colon, path = (place if equals else text).partition(":")
    if kind not in KINDS or not colon or not path or (equals and not given):
        raise DataError(f"{text!r} names no set of photos. {EXPECTED}")
    name = given if equals else Path(path).stem
    if Path(name).name != name:
        raise DataError(f"{name!r} is no name of a set, as it names a folder. {EXPECTED}")
    photos = PhotoSet(name, open_source(SourceConfig(kind, path, min_area=min_area)))
    require_unique(photos.photo_names(), text)
    return photos
