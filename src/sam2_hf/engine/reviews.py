"""Decisions and corrections of persons, on their way from the review page or a file into a set."""

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError, PromptError, Sam2Error, SessionError
from sam2_hf.json_input import load_json

from .set_folder import SetFolder
from .video_labels import ACCEPTED, REJECTED, REVIEW, LabeledMasklet, MaskletPrompt, VideoLabels

VERDICTS = (ACCEPTED, REJECTED, REVIEW)
TOKEN_DIGITS = 16
FAILED = ".failed.json"  # ends the name of a file of reviews that cannot be applied
EXPECTED = (
    'A file of reviews is {"VIDEO": [{"object": 1, "verdict": "accepted", "by": "Ann", "clicks": '
    '[{"frame": 3, "xy": [120, 80], "positive": true}]}]}; clicks may be missing.'
)


@dataclass(frozen=True, slots=True)
class Review:
    """What a person says about a masklet.

    Attributes:
        object_id: The object.
        verdict: "accepted", "rejected", or "review": the scores after tracking decide.
        by: The person.
        corrections: Clicks and boxes by frame.
        token: Identifies it.
    """

    object_id: int
    verdict: str
    by: str = ""
    corrections: tuple[MaskletPrompt, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Review":
        """Read what `asdict` and JSON made of it."""
        values = dict(content)
        values["corrections"] = tuple(map(MaskletPrompt.from_json, values["corrections"]))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class DoubtfulMasklet:
    """A masklet of the review queue.

    Attributes:
        video_id: Its video.
        object_id: The object.
        badness: From 0 to 1; larger is worse.
    """

    video_id: str
    object_id: int
    badness: float


def review_queue(videos: Iterable[VideoLabels]) -> list[DoubtfulMasklet]:
    """List the masklets that wait for a person, worst first."""
    waiting = [
        DoubtfulMasklet(video.id, masklet.object_id, masklet.badness)
        for video in videos
        for masklet in video.masklets
        if masklet.status == REVIEW
    ]
    return sorted(waiting, key=lambda item: (-item.badness, item.video_id, item.object_id))


def add_reviews(folder: SetFolder, video_id: str, reviews: Sequence[Review]) -> None:
    """Record reviews of a video, to be applied when it is tracked again.

    A review that is waiting already is not recorded twice.

    Raises:
        SessionError: Another process is changing the reviews of this video.
        OutputError: They cannot be written.
    """
    with folder.claims.hold(f"{video_id}.review") as claim:
        if claim is None:
            raise SessionError(f"another process is changing the reviews of {video_id}. Try again.")
        listed = [*pending_reviews(folder, video_id), *reviews]
        _write(_path(folder, video_id), {review.token: review for review in listed}.values())


def pending_reviews(folder: SetFolder, video_id: str) -> list[Review]:
    """Read the reviews of a video that were not applied yet.

    Raises:
        DataError: They are damaged.
    """
    return _reviews_in(_path(folder, video_id))


def _reviews_in(path: Path) -> list[Review]:
    if not path.exists():
        return []
    try:
        return [Review.from_json(item) for item in load_json(path)]
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no reviews ({error!r}).") from error


def set_aside(folder: SetFolder, video_id: str, failed: Sequence[Review]) -> Path:
    """Keep reviews that cannot be applied in a file of their own, where they block nothing.

    Returns:
        The file.

    Raises:
        OutputError: They cannot be written.
        DataError: The file is damaged.
    """
    path = folder.root / f"reviews/{video_id}{FAILED}"
    listed = [*_reviews_in(path), *failed]
    _write(path, {review.token: review for review in listed}.values())
    return path


def reviewed_videos(folder: SetFolder) -> list[str]:
    """List the videos with reviews that were not applied yet."""
    paths = (folder.root / "reviews").glob("[!.]*.json")
    return sorted(path.stem for path in paths if not path.name.endswith(FAILED))


def forget_reviews(folder: SetFolder, video_id: str, applied: Collection[str]) -> None:
    """Remove reviews that were applied; those that came meanwhile stay.

    Args:
        folder: The set.
        video_id: The video.
        applied: Their tokens.
    """
    with folder.claims.hold(f"{video_id}.review") as claim:
        if claim is None:
            return  # they are known to be applied, and removed the next time
        kept = [item for item in pending_reviews(folder, video_id) if item.token not in applied]
        if kept:
            _write(_path(folder, video_id), kept)
        else:
            _path(folder, video_id).unlink(missing_ok=True)


def read_review_file(path: Path, folder: SetFolder) -> dict[str, list[Review]]:
    """Read a file of reviews, and check it against a set.

    Returns:
        By id of the video.

    Raises:
        DataError: It has another form, or names a video or an object that is not labeled, or a
            name that several videos have.
        PromptError: A click is outside the video.
    """
    known: dict[str, list[VideoLabels]] = {}
    for video in folder.videos():
        for name in {video.id, video.name, video.address}:
            known.setdefault(name, []).append(video)
    found: dict[str, list[Review]] = {}
    try:
        for name, items in load_json(path).items():
            if name not in known:
                raise DataError(f"{path} reviews {name}, which is not labeled in {folder.root}.")
            video, *others = known[name]
            if others:
                listed = ", ".join(fitting.id for fitting in (video, *others))
                raise DataError(f"{path}: {name} fits several videos. Name one of {listed}.")
            own = found.setdefault(video.id, [])
            own += [_read(item, video, path) for item in items]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, Sam2Error):
            raise
        raise DataError(f"{path} cannot be read as reviews ({error!r}). {EXPECTED}") from error
    return found


def _read(item: Mapping[str, Any], video: VideoLabels, path: Path) -> Review:
    masklet, verdict = video.masklet(item["object"]), item.get("verdict", REVIEW)
    if verdict not in VERDICTS:
        raise DataError(f"{path}: there is no verdict {verdict!r}. Verdicts: {', '.join(VERDICTS)}")
    by = str(item.get("by", path.name))
    clicks: dict[int, list[tuple[float, float, bool]]] = {}
    for click in item.get("clicks", ()):
        frame, point = _read_click(click, video, path)
        clicks.setdefault(frame, []).append(point)
    corrections = tuple(
        MaskletPrompt(frame, tuple(found), by=by) for frame, found in clicks.items()
    )
    review = Review(masklet.object_id, verdict, by, corrections, token="")
    return replace(review, token=_token(video.id, review))


def _read_click(
    click: Mapping[str, Any], video: VideoLabels, path: Path
) -> tuple[int, tuple[float, float, bool]]:
    """Read a click: its frame, and the click.

    Raises:
        PromptError: It is outside the video.
    """
    frame, (x, y) = click["frame"], map(float, click["xy"])
    if type(frame) is not int or not 0 <= frame < video.num_frames:
        raise PromptError(f"{path}: {video.name} has no frame {frame!r}.")
    height, width = video.size
    if not (0 <= x < width and 0 <= y < height):
        raise PromptError(
            f"{path}: a click on frame {frame} is at {x:g}, {y:g}, outside {video.name}, which has "
            f"{width}x{height} pixels."
        )
    return frame, (x, y, bool(click.get("positive", True)))


def _token(video_id: str, review: Review) -> str:
    """Identify a review by what it says, so that a file that is read again changes nothing."""
    content = json.dumps([video_id, asdict(review)])
    return hashlib.sha256(content.encode()).hexdigest()[:TOKEN_DIGITS]


def corrected_prompts(
    masklet: LabeledMasklet, corrections: Iterable[MaskletPrompt], masks: Mapping[int, Any]
) -> tuple[MaskletPrompt, ...]:
    """Add corrections to the prompts of a masklet.

    On a frame without a prompt, the clicks correct its present mask, so that goes along.

    Args:
        masklet: The masklet.
        corrections: Clicks and boxes by frame.
        masks: Present mask of the object by frame, run lengths.
    """
    prompts = {prompt.frame: prompt for prompt in masklet.prompts}
    for given in corrections:
        before = prompts.get(given.frame)
        if before is None:
            before = MaskletPrompt(given.frame, mask=masks.get(given.frame))
        prompts[given.frame] = replace(
            before,
            clicks=(*before.clicks, *given.clicks),
            box=given.box or before.box,
            by=given.by,
        )
    return tuple(prompts[frame] for frame in sorted(prompts))


def clicks_by_frame(corrections: Iterable[MaskletPrompt]) -> Iterator[tuple[str, int]]:
    """Count the clicks on each corrected frame; a box counts as two."""
    for prompt in corrections:
        yield str(prompt.frame), len(prompt.clicks) + 2 * (prompt.box is not None)


def _write(path: Path, reviews: Iterable[Review]) -> None:
    content = json.dumps([asdict(review) for review in reviews], indent=1)
    write_atomically(path, f"{content}\n".encode())


def _path(folder: SetFolder, video_id: str) -> Path:
    return folder.root / f"reviews/{video_id}.json"
