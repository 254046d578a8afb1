"""Synthetic clips as a source: endless, over photos that lie somewhere.

Suffixes: hw3 = rows, columns, red green blue; ohw = objects, rows, columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sam2_hf.data.annotated_video import AnnotatedVideo, ClipRecording
from sam2_hf.data.clip import Clip
from sam2_hf.data.clip_sampling import sample_clip, whole_clip
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.dataset import ClipDataset, fingerprint
from sam2_hf.data.filters import select_names
from sam2_hf.data.folders import folder_names, picture_names, source_folder, wrong_layout
from sam2_hf.errors import DataError, ImageError
from sam2_hf.frames.preprocessing import to_picture

from .clips import synthetic_clip
from .settings import SyntheticSettings

EXPECTED = (
    "The kind synthetic expects a folder of photos, also in folders below; label maps NAME.png or "
    "NAME.0.png beside NAME.jpg do not count. The option annotated lists annotated photos as "
    "KIND:PATH, such as pairs:photos or coco:instances.json. Without a path all is made up."
)
LENGTH = 2**20  # clips of an epoch; each is another one
OPINIONS = 8  # annotators of a photo that take turns
USUAL_FRAMES = 8  # where num_frames is 0
ANNOTATED = "annotated"
MOST_AREA = 0.7  # of a cut out object, as a share of its photo
Annotated = tuple[NDArray[np.uint8], NDArray[np.bool_]]


class PhotoList(Sequence[NDArray[np.uint8]]):
    """Photos that are read when they are looked at.

    Args:
        paths: Where they lie.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def names(self) -> list[str]:
        """What the files are called, wherever their folder lies."""
        return [path.name for path in self._paths]

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, index: slice) -> "PhotoList": ...

    def __getitem__(self, index: int | slice) -> "NDArray[np.uint8] | PhotoList":
        if isinstance(index, slice):
            return PhotoList(self._paths[index])
        return to_picture(self._paths[index])


class AnnotatedPhotos(Sequence[Annotated]):
    """Photos of other sources with their masks, read when they are looked at.

    Where annotators differ, each has his turn, so there are more of them than photos.

    Args:
        sources: Of photos.
    """

    def __init__(self, sources: Sequence[ClipDataset]) -> None:
        self._sources = sources
        self._ends = np.cumsum([len(source) * OPINIONS for source in sources])

    @property
    def names(self) -> list[str]:
        """What tells the sources apart."""
        return [source.fingerprint() for source in self._sources]

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> Annotated: ...

    @overload
    def __getitem__(self, index: slice) -> "list[Annotated]": ...

    def __getitem__(self, index: int | slice) -> "Annotated | list[Annotated]":
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if index >= len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self._ends, index, side="right"))
        source = self._sources[number]
        place = index - int(self._ends[number])  # counted from the end, below 0
        item, opinion = divmod(place + len(source) * OPINIONS, OPINIONS)
        recording = source.recording(item, np.random.default_rng(opinion))
        clip = whole_clip(recording, source.config)
        return clip.frames_thw3[0], clip.masks_othw[:, 0]


class SyntheticSource(ClipDataset):
    """Clips that are made up, each from the chance it is given.

    Options: `annotated`, a list of annotated photos whose objects are used, and the fields of
    [`SyntheticSettings`].

    Args:
        config: Folder of photos, and what clips look like.
        open_annotated: Opens the sources of the option `annotated`.

    Raises:
        DataError: There are no photos where they should be, or an option is unknown.
    """

    def __init__(
        self, config: SourceConfig, open_annotated: Callable[[SourceConfig], ClipDataset]
    ) -> None:
        super().__init__(config)
        options = {name: value for name, value in config.options.items() if name != ANNOTATED}
        self._has_size = "size" in options
        self._settings = SyntheticSettings.from_options(
            options, num_frames=config.num_frames or USUAL_FRAMES
        )
        self._photos = PhotoList(_photos(config) if config.path else [])
        self._annotated = AnnotatedPhotos([open_annotated(one) for one in _annotated(config)])

    def __len__(self) -> int:
        return LENGTH

    def name(self, item: int) -> str:
        """See [`ClipDataset.name`]."""
        return f"synthetic {item}"

    def fingerprint(self) -> str:
        """See [`ClipDataset.fingerprint`]; here it is about the photos that clips are made of."""
        return fingerprint([*self._photos.names, *self._annotated.names])

    def recording(self, item: int, rng: np.random.Generator | None = None) -> AnnotatedVideo:
        """Make a clip up; without `rng` the number of the item decides alone."""
        return self._recording(item, rng or np.random.default_rng(item), self._settings)

    def draw_clip(self, item: int, image_size: int, rng: np.random.Generator) -> Clip:
        """Make a clip up, at the model's input size unless the option size says another."""
        settings = self._settings
        if not self._has_size:
            settings = replace(settings, size=image_size)
        return sample_clip(self._recording(item, rng, settings), self.config, image_size, rng)

    def _recording(
        self, item: int, rng: np.random.Generator, settings: SyntheticSettings
    ) -> AnnotatedVideo:
        try:
            clip = synthetic_clip(self._photos, rng, settings, self._annotated)
        except ImageError as error:
            raise DataError(f"{self.name(item)}: {error}") from error
        return ClipRecording(replace(clip, name=self.name(item)))


def _annotated(config: SourceConfig) -> list[SourceConfig]:
    """Read the option `annotated`.

    Raises:
        DataError: It is no list of KIND:PATH.
    """
    listed = config.options.get(ANNOTATED, ())
    if not isinstance(listed, list | tuple):
        raise DataError(f"{config.label}: {ANNOTATED} is {listed!r}, it must be a list. {EXPECTED}")
    sources = []
    for text in listed:
        kind, colon, path = str(text).partition(":")
        if not colon:
            raise DataError(f"{config.label}: {ANNOTATED} has {text!r}, not KIND:PATH. {EXPECTED}")
        one = SourceConfig(kind, path, min_area=config.min_area, max_area=MOST_AREA)
        sources.append(one)
    return sources


def _photos(config: SourceConfig) -> list[Path]:
    """List the photos of a folder and of those below it.

    Raises:
        DataError: There are none.
    """
    root = source_folder(config, EXPECTED)
    paths = _pictures_below(root)
    if not paths:
        raise wrong_layout(config, "there is no photo in it", EXPECTED)
    names = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
    return [paths[place] for place in select_names(names, config)]


def _pictures_below(folder: Path) -> list[Path]:
    names = picture_names(folder)
    photos = {Path(name).stem for name in names if not name.lower().endswith(".png")}
    # NAME.png and NAME.0.png belong to NAME.jpg
    maps = {name for name in names if name.lower().endswith(".png")} if photos else set()
    found = [
        folder / name
        for name in names
        if name not in maps or not photos & {Path(name).stem, Path(Path(name).stem).stem}
    ]
    for name in folder_names(folder):
        found.extend(_pictures_below(folder / name))
    return found
