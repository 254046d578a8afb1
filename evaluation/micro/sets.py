"""Validation sets of the bundled model: photos and clips of three data sets.

    PATH/bsds500/val/NAME.jpg, NAME.k.png        the k-th annotator's partition, labels from 1
    PATH/coco128/images, instances_val.json      COCO JSON with polygons or run lengths
    PATH/davis16-half/JPEGImages/480p, Annotations/480p      what is not 0 is the object

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.images.photos import PhotoSet, open_photo_sets
from evaluation.sets.labeled_video import LabeledVideo
from evaluation.sets.open_set import VideoSet, open_set
from sam2_hf.errors import DataError

MIN_AREA = 0.01  # of the picture; smaller segments are ignored
VALIDATION_CLIPS = ("blackswan", "kite-surf")
HARD_CLIPS = ("bmx-trees", "dance-twirl")  # small, occluded and turning; validation as well


@dataclass(frozen=True, slots=True, eq=False)
class LabeledPhoto:
    """A photo and its true masks.

    Attributes:
        name: Name in its set.
        picture_hw3: `(height, width, 3)` uint8, RGB.
        segments: `(height, width)` bool masks of at least `MIN_AREA` of the picture, of all
            annotators.
    """

    name: str
    picture_hw3: NDArray[np.uint8]
    segments: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True, slots=True, eq=False)
class LabeledClip:
    """A clip and the true masks of its object.

    Attributes:
        name: Name in its set.
        frames_thw3: `(frames, height, width, 3)` uint8, RGB.
        masks_thw: `(frames, height, width)` bool; the object is on the first frame.
    """

    name: str
    frames_thw3: NDArray[np.uint8]
    masks_thw: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MicroPhotos:
    """A set of photos, read one by one.

    Attributes:
        name: Name in tables.
        segment: Description of a mask, for a table's caption.
        files: All its files.
        photos: The data set.
    """

    name: str
    segment: str
    files: tuple[Path, ...]
    photos: PhotoSet

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[LabeledPhoto]:
        for item in range(len(self)):
            found = self.photos.photo(item)
            if found is not None:
                segments = tuple(found.masks_othw[:, 0])
                yield LabeledPhoto(Path(found.name).name, found.frames_thw3[0], segments)


@dataclass(frozen=True, slots=True)
class MicroClips:
    """A set of clips, read one by one.

    Attributes:
        name: Name in tables.
        files: All its files.
        videos: The data set.
    """

    name: str
    files: tuple[Path, ...]
    videos: VideoSet

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[LabeledClip]:
        return (_read(video) for video in self.videos)


def bsds_set(root: Path) -> MicroPhotos:
    """Find the validation photos of BSDS500; a segment is one label of one annotator's partition.

    A label in several pieces is one segment.

    Raises:
        DataError: There are no photos, or they have no partitions.
    """
    folder = root / "bsds500" / "val"
    (photos,) = open_photo_sets([f"bsds=pairs:{folder}"], MIN_AREA)
    files = tuple(sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png")))
    return MicroPhotos("bsds500/val", "a label of an annotator's partition", files, photos)


def coco_set(root: Path) -> MicroPhotos:
    """Find the validation photos of coco128; a segment is an annotated instance that is no crowd.

    Raises:
        DataError: The JSON or the photos are missing, or the JSON is broken.
    """
    table = root / "coco128" / "instances_val.json"
    (photos,) = open_photo_sets([f"coco=coco:{table}"], MIN_AREA)
    names = (photos.photo_name(item) for item in range(len(photos)))
    files = (table, *(root / "coco128" / "images" / f"{name}.jpg" for name in names))
    return MicroPhotos("coco128 val", "an annotated instance", files, photos)


def davis_set(root: Path, names: Sequence[str] = VALIDATION_CLIPS) -> MicroClips:
    """Find the validation clips.

    Args:
        root: The folder with davis16-half/.
        names: Of the clips.

    Raises:
        DataError: A clip has no frames, or a frame has no mask.
    """
    videos = open_set("folder", str(root / "davis16-half"), tuple(names))
    files: list[Path] = []
    for video in videos:
        frames = video.row.images
        masks = [maps[0] for maps in video.row.label_maps]
        if len(masks) != len(frames):
            raise DataError(
                f"clip {video.name} has {len(frames)} frames and {len(masks)} masks, or they have "
                "other names. Every frame needs a mask of its name."
            )
        files += [Path(str(file)) for file in (*frames, *masks)]
    return MicroClips(f"davis16 {' + '.join(names)}", tuple(files), videos)


def _read(video: LabeledVideo) -> LabeledClip:
    frames = range(video.num_frames)
    masks_thw = np.stack([video.labels(frame) > 0 for frame in frames])
    if not masks_thw[0].any():
        raise DataError(f"the first mask of clip {video.name} is empty, so nothing can be tracked.")
    pictures = [video.picture(frame) for frame in frames]
    if len(sizes := {picture.shape for picture in pictures}) > 1:
        raise DataError(f"the frames of clip {video.name} have several sizes: {sorted(sizes)}.")
    return LabeledClip(video.name, np.stack(pictures), masks_thw)
