"""Synthetic clips as an endless data source, optionally made from photos.

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
    "KIND:PATH, such as pairs:photos or coco:instances.json. Without a path all is procedural."
)
LENGTH = 2**20  # clips of an epoch, all different
NUM_ANNOTATORS = 8  # annotators of a photo, used in turn
USUAL_FRAMES = 8  # if num_frames is 0
ANNOTATED = "annotated"

Annotated = tuple[NDArray[np.uint8], NDArray[np.bool_]]


class PhotoList(Sequence[NDArray[np.uint8]]):
    """Photos that are read on access.

    Args:
        paths: Their files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def names(self) -> list[str]:
        """Names of the files, without their folder."""
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
    """Photos of other sources with their masks, read on access.

    Every photo occurs once per annotator.

    Args:
        sources: Of photos.
    """

    def __init__(self, sources: Sequence[ClipDataset]) -> None:
        self._sources = sources
        self._ends = np.cumsum([len(source) * NUM_ANNOTATORS for source in sources])

    @property
    def names(self) -> list[str]:
        """Fingerprints of the sources."""
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
        place = index - int(self._ends[number])  # relative to the end, below 0
        item, annotator = divmod(place + len(source) * NUM_ANNOTATORS, NUM_ANNOTATORS)
        recording = source.recording(item, np.random.default_rng(annotator))
        clip = whole_clip(recording, source.config)
        return clip.frames_thw3[0], clip.masks_othw[:, 0]


class SyntheticSource(ClipDataset):
    """Procedural clips, each made from its random generator.

    Options: `annotated`, a list of annotated photos whose objects are used, and the fields of
    [`SyntheticSettings`].

    Args:
        config: Folder of photos, and look of clips.
        open_annotated: Opens the sources of the option `annotated`.

    Raises:
        DataError: The folder has no photos, or an option is unknown.
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
        self._annotated = AnnotatedPhotos([open_annotated(source) for source in _annotated(config)])

    def __len__(self) -> int:
        return LENGTH

    def name(self, item: int) -> str:
        """See [`ClipDataset.name`]."""
        return f"synthetic {item}"

    def fingerprint(self) -> str:
        """See [`ClipDataset.fingerprint`]; here of the photos that clips are made from."""
        return fingerprint([*self._photos.names, *self._annotated.names])

    def recording(self, item: int, rng: np.random.Generator | None = None) -> AnnotatedVideo:
        """Make a clip; without `rng` it is determined by the item."""
        return self._recording(item, rng or np.random.default_rng(item), self._settings)

    def draw_clip(self, item: int, image_size: int, rng: np.random.Generator) -> Clip:
        """Make a clip, at the model's input size unless the option size is set."""
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
        DataError: It is not a list of KIND:PATH.
    """
    listed = config.options.get(ANNOTATED, ())
    if not isinstance(listed, list | tuple):
        raise DataError(f"{config.label}: {ANNOTATED} is {listed!r}; it must be a list. {EXPECTED}")
    sources = []
    for text in listed:
        kind, colon, path = str(text).partition(":")
        if not colon:
            raise DataError(f"{config.label}: {ANNOTATED} has {text!r}, not KIND:PATH. {EXPECTED}")
        source = SourceConfig(kind, path, min_area=config.min_area, max_area=0.7)
        sources.append(source)
    return sources


def _photos(config: SourceConfig) -> list[Path]:
    """List the photos of a folder and its subfolders.

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
