"""Result files of a tracked video: a writer for each format, fed frame by frame, or at the end.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue, 4 = and opacity.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sam2_hf import rle
from sam2_hf.frames.image_sequence import list_pictures
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.results.formats import VIDEO_FORMATS
from sam2_hf.results.found_object import FoundObject
from sam2_hf.results.labeled_overlay import draw_masklets
from sam2_hf.results.pictures import cutout_picture, union
from sam2_hf.results.yolo import add_yolo_picture

from .coco_video import write_coco_video
from .cutout_gif import Corners, gif_writer
from .frame_journal import TrackedFrame
from .mask_png import write_label_png, write_object_png
from .masklet_json import VideoFacts, write_masklets, write_scores
from .mot import write_mot
from .mp4 import PRORES, VP9_ALPHA, Encoding, import_av, video_writer
from .source_clip import SourceClip

GREEN = (0, 177, 64)  # what chroma keys are tuned to
BAND = 16  # pixels around an object that keep their colors, so that scaling leaves no dark rim
OPAQUE = 255


@dataclass(frozen=True, slots=True)
class FrameNames:
    """Names of the frames: their numbers, or names of the source pictures.

    Attributes:
        pictures: File names of the pictures; empty means numbers.
    """

    pictures: tuple[str, ...] = ()

    @classmethod
    def for_video(cls, path: Path) -> "FrameNames":
        """Use the names of a folder's pictures, if their stems are unique."""
        pictures = tuple(Path(name).name for name in list_pictures(path)) if path.is_dir() else ()
        return cls(pictures if len({Path(name).stem for name in pictures}) == len(pictures) else ())

    def of(self, frame: int) -> str:
        """Return the name of a frame, without ending."""
        return Path(self.picture(frame)).stem

    def picture(self, frame: int) -> str:
        """Return the file name of a frame's picture; that of numbered ones ends in .jpg."""
        return self.pictures[frame] if self.pictures else f"{frame:05d}.jpg"


def _no_prompts(frame: int) -> DrawnPrompts | None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class TrackedClip:
    """A tracked video on its way to files.

    Attributes:
        about: The video and its objects.
        frame_names: Names of the frames.
        source: The video file, for its sound and the shape of its pixels; None for other sources.
        drawn_on: Prompts to draw on a frame.
        box: Measures the box around all masks of all frames; None if it is unknown.
    """

    about: VideoFacts
    frame_names: FrameNames = field(default_factory=FrameNames)
    source: Path | None = None
    drawn_on: Callable[[int], DrawnPrompts | None] = _no_prompts
    box: Callable[[], Corners | None] = lambda: None


@dataclass(frozen=True, slots=True, eq=False)
class FrameToWrite:
    """One frame on its way to files.

    Attributes:
        tracked: Result of tracking.
        masks: By object id.
        picture_hw3: Its pixels; empty if no format needs them.
    """

    tracked: TrackedFrame
    masks: Mapping[int, NDArray[np.bool_]]
    picture_hw3: NDArray[np.uint8]


Write = Callable[[FrameToWrite], object]


class TrackFiles:
    """Writer of the frames of a video, in all formats; a context manager.

    Args:
        kinds: Names of `VIDEO_FORMATS`; those written at the end are ignored.
        path_of: File or folder of a format.
        clip: The video.
    """

    def __init__(
        self, kinds: Iterable[str], path_of: Callable[[str], Path], clip: TrackedClip
    ) -> None:
        self._kinds = [kind for kind in kinds if kind in FRAME_WRITERS]
        self._path_of = path_of
        self._clip = clip
        self._stack = contextlib.ExitStack()
        self._writers: list[Write] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            for kind in self._kinds:
                writer = FRAME_WRITERS[kind](self._path_of(kind), self._clip)
                self._writers.append(opened.enter_context(writer))
            self._stack = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @property
    def has_writers(self) -> bool:
        """Whether a format is written frame by frame."""
        return bool(self._kinds)

    def write(self, tracked: TrackedFrame, picture_hw3: NDArray[np.uint8] | None) -> None:
        """Add a frame.

        Args:
            tracked: Result of tracking.
            picture_hw3: The frame itself, `(height, width, 3)`; None if no format needs it.

        Raises:
            OutputError: A file cannot be written.
        """
        pixels = np.zeros((0, 0, 3), np.uint8) if picture_hw3 is None else picture_hw3
        frame = FrameToWrite(tracked, tracked.masks(), pixels)
        for write in self._writers:
            write(frame)


def write_tables(
    kinds: Iterable[str],
    path_of: Callable[[str], Path],
    clip: TrackedClip,
    frames: Iterable[TrackedFrame],
) -> None:
    """Write the formats that need all frames at once.

    Raises:
        OutputError: A file cannot be written.
    """
    for kind in kinds:
        if kind in TABLE_WRITERS:
            TABLE_WRITERS[kind](path_of(kind), clip, frames)


def require_packages(kinds: Iterable[str]) -> None:
    """Check that everything is installed that the formats need.

    Raises:
        MissingPackageError: A video is requested and PyAV is not installed.
    """
    if any(VIDEO_FORMATS[kind].is_video for kind in kinds):
        import_av()


def need_pictures(kinds: Iterable[str]) -> bool:
    """Whether a format shows pixels of the video."""
    return any(VIDEO_FORMATS[kind].needs_pictures for kind in kinds)


def box_of_all(frames: Iterable[TrackedFrame]) -> Corners | None:
    """Box around the masks of all frames: left, top, right, bottom; None if nothing is seen."""
    boxes = [found.box() for tracked in frames for found in tracked.objects if found.area]
    if not boxes:
        return None
    lows, sizes = np.array(boxes)[:, :2], np.array(boxes)[:, 2:]
    (left, top), (right, bottom) = lows.min(axis=0).tolist(), (lows + sizes).max(axis=0).tolist()
    return left, top, right, bottom


@contextlib.contextmanager
def _overlay(path: Path, clip: TrackedClip) -> Iterator[Write]:
    ids, names = clip.about.object_ids, clip.about.names
    with video_writer(path, fps=clip.about.fps, source=clip.source) as video:

        def write(frame: FrameToWrite) -> None:
            prompts = clip.drawn_on(frame.tracked.frame)
            drawn = draw_masklets(frame.picture_hw3, frame.masks, ids, prompts, names)
            video.write(drawn, frame.tracked.time_s)

        yield write


@contextlib.contextmanager
def _greenscreen(path: Path, clip: TrackedClip) -> Iterator[Write]:
    with video_writer(path, fps=clip.about.fps, source=clip.source) as video:

        def write(frame: FrameToWrite) -> None:
            keyed_hw3 = np.full_like(frame.picture_hw3, GREEN)
            inside_hw = union(list(frame.masks.values()), clip.about.size)
            keyed_hw3[inside_hw] = frame.picture_hw3[inside_hw]
            video.write(keyed_hw3, frame.tracked.time_s)

        yield write


@contextlib.contextmanager
def _transparent(path: Path, clip: TrackedClip, encoding: Encoding) -> Iterator[Write]:
    fps = clip.about.fps
    with video_writer(path, fps=fps, encoding=encoding, source=clip.source) as video:

        def write(frame: FrameToWrite) -> None:
            inside_hw = union(list(frame.masks.values()), clip.about.size)
            cut_hw4 = np.zeros((*inside_hw.shape, 4), np.uint8)
            near_hw = _band_around(inside_hw)
            cut_hw4[near_hw, :3] = frame.picture_hw3[near_hw]
            cut_hw4[inside_hw, 3] = OPAQUE
            video.write(cut_hw4, frame.tracked.time_s)

        yield write


def _alpha(path: Path, clip: TrackedClip) -> AbstractContextManager[Write]:
    return _transparent(path, clip, PRORES)


def _alpha_web(path: Path, clip: TrackedClip) -> AbstractContextManager[Write]:
    return _transparent(path, clip, VP9_ALPHA)


def _band_around(inside_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add a band around a mask, by whole tiles, which is quick."""
    height, width = inside_hw.shape
    padded = np.pad(inside_hw, ((0, -height % BAND), (0, -width % BAND)))
    tiles = padded.reshape(padded.shape[0] // BAND, BAND, -1, BAND).any(axis=(1, 3))
    near = ndimage.binary_dilation(tiles, np.ones((3, 3), bool))
    return near.repeat(BAND, axis=0).repeat(BAND, axis=1)[:height, :width]


@contextlib.contextmanager
def _cutout_gif(path: Path, clip: TrackedClip) -> Iterator[Write]:
    source = SourceClip.read(import_av(), clip.source)
    aspect = Fraction(1) if source is None else source.pixel_aspect
    fps = clip.about.fps or 25.0
    with gif_writer(path, clip.box(), aspect) as gif:

        def write(frame: FrameToWrite) -> None:
            tracked = frame.tracked
            time_s = tracked.frame / fps if tracked.time_s is None else tracked.time_s
            gif.write(cutout_picture(frame.picture_hw3, list(frame.masks.values())), time_s)

        yield write


@contextlib.contextmanager
def _davis(folder: Path, clip: TrackedClip) -> Iterator[Write]:
    def write(frame: FrameToWrite) -> None:
        name = f"{clip.frame_names.of(frame.tracked.frame)}.png"
        write_label_png(folder / name, frame.masks, clip.about.size)

    yield write


@contextlib.contextmanager
def _objects(folder: Path, clip: TrackedClip) -> Iterator[Write]:
    def write(frame: FrameToWrite) -> None:
        name = f"{clip.frame_names.of(frame.tracked.frame)}.png"
        for object_id, mask_hw in frame.masks.items():
            write_object_png(folder / f"{object_id:03d}" / name, mask_hw)

    yield write


@contextlib.contextmanager
def _yolo(folder: Path, clip: TrackedClip) -> Iterator[Write]:
    def write(frame: FrameToWrite) -> None:
        # Clips may share a data set, and their frames have the same numbers.
        name = f"{clip.about.name}_{clip.frame_names.of(frame.tracked.frame)}"
        objects = found_on(frame.tracked, clip.about.names)
        add_yolo_picture(folder, name, frame.picture_hw3, objects, ending=".jpg")

    yield write


def found_on(tracked: TrackedFrame, names: Mapping[int, str]) -> list[FoundObject]:
    """List the objects of a tracked frame."""
    return [
        FoundObject(
            found.object_id,
            rle.from_coco(found.segmentation),
            found.predicted_iou,
            names.get(found.object_id),
            {
                "object_id": found.object_id,
                "predicted_iou": found.predicted_iou,
                "object_score": found.object_score,
            },
        )
        for found in tracked.objects
    ]


FRAME_WRITERS: dict[str, Callable[[Path, TrackedClip], AbstractContextManager[Write]]] = {
    "overlay": _overlay,
    "davis": _davis,
    "objects": _objects,
    "yolo": _yolo,
    "alpha": _alpha,
    "alpha-web": _alpha_web,
    "greenscreen": _greenscreen,
    "cutout-gif": _cutout_gif,
}


def _coco_video(path: Path, clip: TrackedClip, frames: Iterable[TrackedFrame]) -> object:
    return write_coco_video(path, clip.about, frames, clip.frame_names.picture)


TABLE_WRITERS: dict[str, Callable[[Path, TrackedClip, Iterable[TrackedFrame]], object]] = {
    "sav": lambda path, clip, frames: write_masklets(path, clip.about, frames),
    "scores": lambda path, clip, frames: write_scores(path, frames),
    "coco-video": _coco_video,
    "mot": lambda path, clip, frames: write_mot(path, frames),
}
