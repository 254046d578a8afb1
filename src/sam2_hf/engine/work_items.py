"""What is left to do in a set, as items that a worker claims; found on disk, so nothing is lost."""

from dataclasses import dataclass
from typing import Literal

from .reviews import reviewed_videos
from .set_folder import SetFolder

Kind = Literal["label", "plan", "part", "join", "retrack"]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One piece of work.

    Attributes:
        kind: "label" a whole video; "plan": find the ranges of a video that may be long; label a
            "part"; "join" the parts; "retrack" what reviewers corrected.
        video_id: The video.
        number: Of a part.
        weight: Larger items come first.
    """

    kind: Kind
    video_id: str
    number: int = 0
    weight: int = 0

    @property
    def key(self) -> str:
        """What a worker claims."""
        return f"{self.video_id}.part{self.number:04d}" if self.kind == "part" else self.video_id


def open_items(folder: SetFolder) -> list[WorkItem]:
    """List what can be done now, the largest first, so that no worker ends long after the others.

    Doing it may open further items: parts come after a plan, joining after parts. A video that
    failed has none.

    Raises:
        DataError: The set is damaged.
    """
    splits, finished = folder.settings().split_frames > 0, folder.done() | set(folder.failures())
    items: list[WorkItem] = []
    for video in folder.queue():
        if video.id not in finished:
            opened = _of_long_video if splits else _of_video
            items += opened(folder, video.id, video.num_bytes)
    return sorted(items, key=lambda item: -item.weight)


def review_items(folder: SetFolder) -> list[WorkItem]:
    """List the labeled videos with reviews that were not applied yet.

    Raises:
        DataError: The set is damaged.
    """
    known = folder.done() - set(folder.failures())
    return [
        WorkItem("retrack", video_id) for video_id in reviewed_videos(folder) if video_id in known
    ]


def _of_video(folder: SetFolder, video_id: str, num_bytes: int) -> list[WorkItem]:
    return [WorkItem("label", video_id, weight=num_bytes)]


def _of_long_video(folder: SetFolder, video_id: str, num_bytes: int) -> list[WorkItem]:
    ranges = folder.plan(video_id)
    if ranges is None:
        return [WorkItem("plan", video_id, weight=num_bytes)]
    if len(ranges) == 1:
        return _of_video(folder, video_id, num_bytes)
    missing = [n for n in range(len(ranges)) if not folder.part(video_id, n).exists()]
    weight = num_bytes // len(ranges)
    parts = [WorkItem("part", video_id, number, weight) for number in missing]
    return parts or [WorkItem("join", video_id, weight=weight)]
