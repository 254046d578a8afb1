"""Promptable segmentation of videos: prompts to masklets, one video after another.

Suffixes: h, w = rows and columns in pixels of the original frame.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any, Unpack, cast, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.closing import Closing
from sam2_hf.contact_sheet import Cell, contact_sheet
from sam2_hf.errors import FrameError, PromptError
from sam2_hf.everything.found_masklets import FoundMasklets
from sam2_hf.frames.base import Frames
from sam2_hf.frames.open import is_stream, open_frames
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.open_vocabulary.detection import Detector
from sam2_hf.open_vocabulary.labels import EVERY, read_labels
from sam2_hf.open_vocabulary.text_tracker import check_every
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.processing.prompt_reading import read_box
from sam2_hf.results.formats import VIDEO_FORMATS, check_ids, format_for, read_formats
from sam2_hf.results.found_object import Origin
from sam2_hf.results.frame_masks import FrameByFrame, FrameMasks
from sam2_hf.results.pictures import png_bytes
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.masklet import Masklet, describe_frames
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.propagation import PropagationDirection
from sam2_hf.video.review import FrameToReview, ReviewRules
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.writers.coco_video import coco_video_head, video_annotations
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts
from sam2_hf.writers.track_files import (
    FrameNames,
    TrackedClip,
    TrackFiles,
    box_of_all,
    found_on,
    need_pictures,
    write_tables,
)

from .abstract_pipeline import AbstractPipeline
from .loading import Source
from .named_models import check_named_model, detector_of
from .photo_inputs import ReadingOptions
from .result_mapping import ResultMapping
from .video_runs import (
    CallOptions,
    Progress,
    PromptedRun,
    RunOptions,
    TextRun,
    VideoRun,
    check_alone,
    prompted_runs,
    read_prompts,
    read_references,
)

Prompts = VideoPrompt | Sequence[VideoPrompt]
ENDINGS = {
    ".mp4": "overlay",
    ".mov": "alpha",
    ".webm": "alpha-web",
    ".gif": "cutout-gif",
    ".json": "coco-video",
    ".csv": "scores",
    ".txt": "mot",
}
SMALLEST_INPUT = 64  # pixels; only original pictures are read
SHOWN, ROW = 6, 3  # frames of a plot, and in a row
NO_NAMES: Mapping[int, str] = {}


class VideoSegmentation(ResultMapping, Closing, FrameByFrame):
    """Masklets of a video, with masks in RAM and beyond a budget in a file.

    Attributes are also items, `found["masklets"]`. `found.on_frame(12)` is the result of one frame,
    which plots and converts like that of a photo.

    Attributes:
        masklets: Object id -> its mask on every frame.
        size: `(height, width)` of the frames.
        num_frames: Number of frames; None for an iterator that was not read to its end.
        fps: Average frames per second; None if unknown.
        times: When each tracked frame is shown, in seconds; None if unknown.
        frames_to_review: Frames to check by eye, worst first.
        names: Names of objects, by id; those of the prompts and references.
        scene_cuts: Frames on which a scene begins, without the first of the video; empty if objects
            were prompted.
    """

    FIELDS = (
        "masklets",
        "object_ids",
        "frames",
        "size",
        "num_frames",
        "fps",
        "times",
        "frames_to_review",
    )

    def __init__(
        self,
        session: VideoSession | FoundMasklets,
        rules: ReviewRules | None,
        prompts: Sequence[VideoPrompt] = (),
        source: object = None,
        names: Mapping[int, str] = NO_NAMES,
    ) -> None:
        frames = session.frames
        self.masklets: Mapping[int, Masklet] = {
            object_id: session.masklet(object_id) for object_id in session.object_ids
        }
        self.size = cast("tuple[int, int]", session.size)  # unknown only for a stream
        self.num_frames: int | None = session.num_frames
        self.fps: Fraction | None = frames.fps
        self.frames_to_review: list[FrameToReview] = session.frames_to_review(rules)
        named = {prompt.object_id: prompt.name for prompt in prompts if prompt.name is not None}
        self.names: Mapping[int, str] = {**names, **named}
        self._prompts = tuple(prompts)
        self._source = Path(source) if isinstance(source, str | os.PathLike) else None
        self._video = source if _can_be_opened_again(source) else None
        self._value_range = session.options.value_range
        self._pictures: Frames | None = None
        # all frames of a run that finds its objects itself; else those of the masklets
        self._visited = session.visited if isinstance(session, FoundMasklets) else []
        self.times = {frame: frames.time(frame) for frame in self.frames}
        self.scene_cuts = session.scene_cuts if isinstance(session, FoundMasklets) else ()
        self._session = session
        session.settle()

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects, in the order in which they were prompted."""
        return tuple(self.masklets)

    @property
    def frames(self) -> list[int]:
        """Frames with a mask of some object, in order."""
        seen = {frame for masklet in self.masklets.values() for frame in masklet.frames}
        return sorted({*self._visited, *seen})

    def masks(self, frame: int) -> dict[int, NDArray[np.bool_]]:
        """Return the masks of a frame, `(height, width)` each, of objects that have one."""
        return {
            object_id: masklet.mask(frame)
            for object_id, masklet in self.masklets.items()
            if frame in masklet
        }

    def on_frame(self, frame: int) -> FrameMasks:
        """Return the result of one frame.

        Raises:
            FrameError: No object has a mask on this frame.
        """
        tracked = self._tracked(frame)
        if not tracked.objects and frame not in self._visited:
            raise FrameError(
                f"frame {frame} was not tracked. Frames with a mask: "
                f"{describe_frames(self.frames)}."
            )
        return FrameMasks(
            frame,
            self.size,
            tuple(found_on(tracked, self.names)),
            None if self._video is None else Origin("", partial(self._picture, frame)),
            self._drawn_on(frame),
        )

    def plot(self, frame: int | None = None) -> Image.Image:
        """Draw the masks over a frame, by default over several frames side by side.

        Raises:
            FrameError: No object has a mask on this frame, or the frame can no longer be read.
        """
        if frame is not None:
            return self.on_frame(frame).plot()
        if not self.frames:
            return Image.new("RGB", self.size[::-1])
        last = len(self.frames) - 1
        shown = {self.frames[last * place // (SHOWN - 1)] for place in range(SHOWN)}
        cells = [Cell(f"frame {one}", np.asarray(self.plot(one))) for one in sorted(shown)]
        return contact_sheet([cells[:ROW], cells[ROW:]] if len(cells) > ROW else [cells])

    def named(self, names: Mapping[int, str]) -> "VideoSegmentation":
        """Set names of objects; returns the same result."""
        self.names = {**self.names, **names}
        return self

    def to_coco(self) -> dict[str, Any]:
        """Make COCO's dictionary of a video, as YouTube-VIS has it, ready for JSON."""
        about, frames = self._facts(), list(self._tracked_frames())
        head = coco_video_head(about, self._frame_names().picture)
        return {**head, "annotations": list(video_annotations(about, frames))}

    def save(self, path: str | os.PathLike[str], kind: str | None = None) -> Path:
        """Write the result to a file or folder.

        Args:
            path: The file or folder.
            kind: One of `sam2-hf track --save`: overlay, davis, objects, sav, scores, coco-video,
                yolo, mot, alpha, alpha-web, greenscreen, cutout-gif. By default what the ending
                says: .mp4 is an overlay, .mov alpha, .webm alpha-web, .gif a cutout, .json
                coco-video, .csv scores, .txt mot.

        Raises:
            PromptError: There is no such kind, the ending does not say which, or it has no place
                for an object's id.
            FrameError: Pixels are needed and the video cannot be read again.
            OutputError: It cannot be written.
        """
        target, source = Path(path), self._source
        chosen = format_for(target.suffix, ENDINGS) if kind is None else kind
        kinds = read_formats([chosen], VIDEO_FORMATS)
        check_ids(self.object_ids, kinds)
        clip = TrackedClip(
            about=self._facts(),
            frame_names=self._frame_names(),
            source=source,
            drawn_on=self._drawn_on,
            box=lambda: box_of_all(self._tracked_frames()),
        )
        needs_pictures = need_pictures(kinds)
        with TrackFiles(kinds, lambda _: target, clip) as files:
            for tracked in self._tracked_frames() if files.has_writers else ():
                pixels = self._picture(tracked.frame) if needs_pictures else None
                files.write(tracked, pixels)
        write_tables(kinds, lambda _: target, clip, _Again(self._tracked_frames))
        return target

    def close(self) -> None:
        """Free the masks; a second call does nothing."""
        self._session.close()
        if self._pictures is not None:
            self._pictures.close()

    def _repr_png_(self) -> bytes:
        """Show some frames in a notebook."""
        return png_bytes(self.plot())

    def __repr__(self) -> str:
        ids = ", ".join(self.names.get(item, str(item)) for item in self.object_ids[:ROW])
        more = " ..." * (len(self.object_ids) > ROW)
        height, width = self.size
        return (
            f"VideoSegmentation(objects {ids}{more} on {len(self.frames)} frames, "
            f"{width} x {height} pixels)"
        )

    def _picture(self, frame: int) -> NDArray[np.uint8]:
        """Read a frame again; the video is opened when the first one is needed.

        Raises:
            FrameError: The video was an iterator, or the frame can no longer be read.
        """
        if self._video is None:
            raise FrameError(
                "the pixels of the video are gone, since it was an iterator. Give a file, a folder "
                "or a list, or save what needs masks only."
            )
        if self._pictures is None:
            self._pictures = open_frames(
                self._video, image_size=SMALLEST_INPUT, value_range=self._value_range
            )
        return self._pictures.picture(frame)

    def _tracked(self, frame: int) -> TrackedFrame:
        prompted = frozenset(asked.object_id for asked in self._prompts if asked.frame == frame)
        return TrackedFrame.from_masklets(
            frame, self.masklets.values(), prompted, self.times.get(frame)
        )

    def _tracked_frames(self) -> Iterator[TrackedFrame]:
        return map(self._tracked, self.frames)

    def _frame_names(self) -> FrameNames:
        return FrameNames() if self._source is None else FrameNames.for_video(self._source)

    def _facts(self) -> VideoFacts:
        frames = self.frames
        length = self.num_frames or (frames[-1] + 1 if frames else 0)
        prompts: dict[int, list[dict[str, Any]]] = {}
        for asked in self._prompts:
            prompts.setdefault(asked.object_id, []).append(asked.described())
        return VideoFacts(
            name="video" if self._source is None else self._source.stem,
            size=self.size,
            num_frames=length,
            fps=None if self.fps is None else float(self.fps),
            model="",
            object_ids=tuple(sorted(self.object_ids)),
            names=self.names,
            prompts=prompts,
        )

    def _drawn_on(self, frame: int) -> DrawnPrompts | None:
        asked = [prompt for prompt in self._prompts if prompt.frame == frame]
        clicks = tuple((*click.xy, click.positive) for prompt in asked for click in prompt.listed)
        boxes = tuple(read_box(prompt.box, None, "") for prompt in asked if prompt.box is not None)
        return DrawnPrompts(clicks, boxes) if clicks or boxes else None


def _can_be_opened_again(video: object) -> bool:
    """Whether a video is a path or in memory; an iterator yields its pictures once."""
    if video is None or isinstance(video, Frames):
        return False
    return not (isinstance(video, Iterable) and is_stream(video)) or isinstance(video, os.PathLike)


class _Again(Iterable[TrackedFrame]):
    """Frames that can be iterated several times, made each time."""

    def __init__(self, start: Callable[[], Iterator[TrackedFrame]]) -> None:
        self._start = start

    def __iter__(self) -> Iterator[TrackedFrame]:
        return self._start()


class VideoSegmentationPipeline(AbstractPipeline[Sam2VideoModel]):
    """Track the objects of clicks, boxes and masks through videos.

    Args:
        model: The model, on its device, in eval mode.
        rules: When a frame is to be reviewed.
        detector: For `text`: a [`ZeroShotDetector`], its Hub id or folder, or any
            [`Detector`][sam2_hf.open_vocabulary.detection.Detector]; by default
            `IDEA-Research/grounding-dino-tiny`, loaded when needed.
        **options: Options of every session, see [`SessionOptions`]; `compat="official"` uses the
            original's defaults. [`ReadingOptions`] are checked but have no effect: videos are
            tracked one after another, and their frames are always read ahead.

    Raises:
        SessionError: There is no such option, or its value is invalid.
        CheckpointError: The detector cannot be loaded.

    Example:
        >>> track = VideoSegmentationPipeline(model, non_overlap_masks=True)
        >>> found = track("clip.mp4", [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
    """

    task = "video-segmentation"

    def __init__(
        self,
        model: Sam2VideoModel,
        *,
        rules: ReviewRules | None = None,
        detector: Detector | Source | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model)
        _, own = ReadingOptions().taken_from(options)
        self.options = SessionOptions.preset(**own)
        self._rules = rules
        self._detector = detector_of(detector, self)

    @classmethod
    def option_names(cls) -> frozenset[str]:
        """List the constructor's options besides the model."""
        own = (field.name for field in fields(SessionOptions))
        return frozenset((*own, "compat", "rules", "detector")) | ReadingOptions.names()

    @classmethod
    def check_options(
        cls, *, rules: ReviewRules | None = None, detector: object = None, **options: Any
    ) -> None:
        """Validate the constructor's options before a model is loaded.

        Raises:
            SessionError: There is no such option, or its value is invalid.
            PromptError: `rules` is not a `ReviewRules`, or `detector` is none.
        """
        check_named_model(detector, "detector", "detect")
        if rules is not None and not isinstance(rules, ReviewRules):
            raise PromptError(f"rules are {rules!r:.80}. Give ReviewRules(...), or leave them out.")
        _, own = ReadingOptions().taken_from(options)
        SessionOptions.preset(**own)

    def open(self, video: object) -> VideoSession:
        """Open a session on a video, for interactive use; see [`open_frames`].

        Raises:
            VideoError: The video cannot be opened.

        Example:
            >>> session = VideoSegmentationPipeline(model).open("clip.mp4")
            >>> session.num_frames
            3
        """
        return Sam2VideoInferenceSession.open(video, self.model, options=self.options)

    @overload
    def __call__(
        self,
        video: object,
        prompts: Prompts | None = ...,
        direction: PropagationDirection = ...,
        *,
        progress: bool = ...,
        on_progress: Progress | None = ...,
        text: str | Sequence[str] | None = ...,
        detect_every: int | None = ...,
        **more: Unpack[CallOptions],
    ) -> VideoSegmentation: ...
    @overload
    def __call__(
        self,
        video: Sequence[object],
        prompts: Sequence[Sequence[VideoPrompt]],
        direction: PropagationDirection = ...,
        *,
        progress: bool = ...,
        on_progress: Progress | None = ...,
        **more: Unpack[CallOptions],
    ) -> Iterator[VideoSegmentation]: ...
    def __call__(
        self,
        video: object,
        prompts: Any = None,
        direction: PropagationDirection = "both",
        *,
        progress: bool = False,
        on_progress: Progress | None = None,
        text: str | Sequence[str] | None = None,
        detect_every: int | None = EVERY,
        **more: Unpack[CallOptions],
    ) -> VideoSegmentation | Iterator[VideoSegmentation]:
        """Track objects through one video, or through several.

        Args:
            video: A video file, a folder of pictures, or frames, see [`open_frames`]; or a list of
                these.
            prompts: [`VideoPrompt`]s, `[]` for no objects; for a list of videos, one list for each.
                They may be left out with references.
            direction: "both" ways from the first prompted frame, "forward" or "backward".
            progress: Whether to show a progress bar.
            on_progress: Called after each frame with the number done and the total (None if
                unknown).
            text: Instead of prompts, names to look for in one video, forward in time, such as
                "a dog" or a list; see [`TextTracker`].
            detect_every: Frames between two looks; None looks at the first frame only.
            **more: `references`: [`Reference`]s, objects known from other pictures, in every video.

        Returns:
            A [`VideoSegmentation`]; for several videos a lazy iterator of them, which keeps only
            the masks of earlier videos.

        Raises:
            VideoError: A video cannot be opened.
            FrameError: A frame is unavailable; `tracked` of the error holds the frames before it.
            PromptError: A prompt is invalid, or a video lacks its list of prompts.
            DetectionError: The detector failed, or its answer cannot be used.

        Example:
            >>> track = VideoSegmentationPipeline(model)
            >>> found = track(clip, [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
            >>> found.masklets[1].mask(2).shape
            (180, 240)
        """
        references = read_references(more)
        options = RunOptions(direction, progress, on_progress, references)
        if text is not None:
            check_alone(text, prompts, references)
            labels, every = read_labels(text), check_every(detect_every)
            return self._track(video, TextRun(self._detector.get(), labels, every, options))
        asked = read_prompts(prompts, video, may_be_missing=bool(references))
        if all(isinstance(prompt, VideoPrompt) for prompt in asked):
            return self._track(video, PromptedRun(asked, options))
        return starmap(self._track, prompted_runs(video, asked, options))

    def _track(self, video: object, run: VideoRun) -> VideoSegmentation:
        """Track one video in a new session."""
        session = self.open(video)
        try:
            run.track(session)
            return VideoSegmentation(session, self._rules, run.prompts, video, run.options.names)
        except FrameError as error:
            known = run.options.names
            error.tracked = VideoSegmentation(session, self._rules, run.prompts, video, known)
            raise
        except BaseException:
            session.close()
            raise
