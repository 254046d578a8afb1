"""A labeled video of a set: its masklets with scores, decisions and provenance, and their masks.

One file of JSON lines: the first is about the video, each other one is a tracked frame. Nothing in
it depends on when, where or by how many workers it was made.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sam2_hf import rle
from sam2_hf.atomic_write import atomic_write
from sam2_hf.errors import DataError
from sam2_hf.json_input import parse_json
from sam2_hf.processing.prompts import Click
from sam2_hf.rle import CocoRle
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts

ACCEPTED, REVIEW, REJECTED = "accepted", "review", "rejected"
Point = tuple[float, float, bool]  # x, y, whether it is on the object
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MaskletPrompt:
    """What an object was pointed at with on one frame.

    With both a mask and clicks, the clicks correct the mask.

    Attributes:
        frame: Frame of the video.
        clicks: Positive and negative points, pixels of the frame.
        box: Left, top, right, bottom; None if there is none.
        mask: Compressed run lengths; None if there is none.
        by: Who gave it: "automatic", a file, or a person.
    """

    frame: int
    clicks: tuple[Point, ...] = ()
    box: Box | None = None
    mask: CocoRle | None = None
    by: str = ""

    def for_session(self, object_id: int) -> list[VideoPrompt]:
        """Convert to the prompts of a session, in order.

        Raises:
            PromptError: It is empty or malformed.
            DataError: The mask is damaged.
        """
        prompts = []
        if self.mask is not None:
            mask_hw = rle.decode(rle.from_coco(self.mask))
            prompts.append(VideoPrompt(self.frame, object_id, mask=mask_hw))
        if self.clicks or self.box is not None or not prompts:
            clicks = [Click((x, y), positive=positive) for x, y, positive in self.clicks]
            prompts.append(VideoPrompt(self.frame, object_id, clicks=clicks, box=self.box))
        return prompts

    def described(self) -> dict[str, Any]:
        """Describe it for the files of other tools, as `VideoPrompt.described`."""
        return {
            "frame": self.frame,
            "points": [[x, y, int(positive)] for x, y, positive in self.clicks],
            "boxes": [] if self.box is None else [list(self.box)],
            "has_mask": self.mask is not None,
            "by": self.by,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "MaskletPrompt":
        """Read what `asdict` and JSON made of it."""
        values = dict(content)
        values["clicks"] = tuple((x, y, bool(sign)) for x, y, sign in values.get("clicks", ()))
        box = values.get("box")
        values["box"] = None if box is None else tuple(box)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A frame of a masklet that a person should look at.

    Attributes:
        frame: Frame of the video.
        reasons: Why.
        severity: Larger is more doubtful.
    """

    frame: int
    reasons: tuple[str, ...]
    severity: float


@dataclass(frozen=True, slots=True)
class ReviewAction:
    """What a person did with a masklet, once.

    Attributes:
        by: The person.
        verdict: "accepted", "rejected", or "review" for a correction without a decision.
        token: Identifies it, so that it is not applied twice.
        clicks: Number of clicks on each corrected frame, by frame as text.
    """

    by: str
    verdict: str
    token: str = ""
    clicks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabeledMasklet:
    """One object of a labeled video.

    Attributes:
        object_id: Its number.
        name: What it is; None if unknown.
        status: "accepted", "review" or "rejected".
        scores: By name, see `quality.masklet_scores`.
        reasons: Why it is not accepted by the rules.
        prompts: What it was pointed at with.
        doubts: Frames to look at, worst first.
        history: What persons did, in order.
        model: Name and fingerprint of the model that made it last.
    """

    object_id: int
    name: str | None = None
    status: str = REVIEW
    scores: Mapping[str, float | None] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    prompts: tuple[MaskletPrompt, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    history: tuple[ReviewAction, ...] = ()
    model: Mapping[str, str] = field(default_factory=dict)

    @property
    def badness(self) -> float:
        """How doubtful it is, to sort the review queue by: 1 minus the worst score."""
        known = [score for score in self.scores.values() if score is not None]
        return 1 - min(known, default=0.0)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LabeledMasklet":
        """Read what `asdict` and JSON made of it."""
        values = dict(content)
        values["prompts"] = tuple(map(MaskletPrompt.from_json, values["prompts"]))
        values["reasons"] = tuple(values["reasons"])
        values["doubts"] = tuple(
            Doubt(doubt["frame"], tuple(doubt["reasons"]), doubt["severity"])
            for doubt in values["doubts"]
        )
        values["history"] = tuple(ReviewAction(**action) for action in values["history"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class VideoLabels:
    """A labeled video, without its masks.

    Attributes:
        id: Its name in the set.
        name: File or folder name.
        address: Where it is.
        size: `(height, width)` in pixels.
        num_frames: Frames of the video.
        fps: Frames per second; None if unknown.
        phase: Name of the phase.
        masklets: Its objects, by number.
        parts: Ranges of frames that were tracked apart, first and one past the last.
    """

    id: str
    name: str
    address: str
    size: tuple[int, int]
    num_frames: int
    fps: float | None
    phase: str
    masklets: tuple[LabeledMasklet, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()

    def masklet(self, object_id: int) -> LabeledMasklet:
        """Return an object.

        Raises:
            DataError: There is none of this number.
        """
        for masklet in self.masklets:
            if masklet.object_id == object_id:
                return masklet
        known = ", ".join(str(masklet.object_id) for masklet in self.masklets) or "none"
        raise DataError(f"{self.id} has no object {object_id}. Objects: {known}.")

    def with_masklet(self, changed: LabeledMasklet) -> "VideoLabels":
        """Return a copy with one object replaced."""
        masklets = [
            changed if masklet.object_id == changed.object_id else masklet
            for masklet in self.masklets
        ]
        return replace(self, masklets=tuple(masklets))

    def facts(self, chosen: Sequence[LabeledMasklet]) -> VideoFacts:
        """Describe the video and some of its objects for the writers."""
        return VideoFacts(
            name=self.id,
            size=self.size,
            num_frames=self.num_frames,
            fps=self.fps,
            model=", ".join(sorted({masklet.model.get("name", "") for masklet in chosen})),
            object_ids=tuple(masklet.object_id for masklet in chosen),
            names={masklet.object_id: masklet.name for masklet in chosen if masklet.name},
            prompts={
                masklet.object_id: [prompt.described() for prompt in masklet.prompts]
                for masklet in chosen
            },
        )


def write_labels(path: Path, video: VideoLabels, frames: Iterable[TrackedFrame]) -> Path:
    """Write a labeled video, whole or not at all.

    Several workers may write it at once, as when one was thought dead; the last one stays.

    Args:
        path: The file.
        video: The video and its objects.
        frames: In order.

    Raises:
        OutputError: It cannot be written.
    """
    with atomic_write(path) as file:
        file.write(f"{json.dumps(asdict(video))}\n".encode("ascii"))
        for frame in frames:
            file.write(f"{frame.to_json()}\n".encode("ascii"))
    return path


def read_labels(path: Path) -> VideoLabels:
    """Read what a file says about its video.

    Raises:
        DataError: It is missing or damaged.
    """
    with _lines(path) as lines:
        content = parse_json(next(lines, ""), str(path))
    try:
        values = dict(content)
        values["masklets"] = tuple(map(LabeledMasklet.from_json, values["masklets"]))
        values["size"] = tuple(values["size"])
        values["parts"] = tuple((first, stop) for first, stop in values["parts"])
        return VideoLabels(**values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{path} holds no labeled video ({error!r}).") from error


class LabeledFrames(Iterable[TrackedFrame]):
    """The frames of a file, in order; read again at each iteration.

    Args:
        path: The file.
        object_ids: Objects to keep; None keeps all.
    """

    def __init__(self, path: Path, object_ids: Iterable[int] | None = None) -> None:
        self._path = path
        self._kept = None if object_ids is None else frozenset(object_ids)

    def __iter__(self) -> Iterator[TrackedFrame]:
        with _lines(self._path) as lines:
            next(lines, "")
            for line in lines:
                frame = TrackedFrame.from_json(line)
                if self._kept is not None:
                    kept = tuple(item for item in frame.objects if item.object_id in self._kept)
                    frame = replace(frame, objects=kept)
                yield frame


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    try:
        with path.open(encoding="ascii") as file:
            yield file
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
