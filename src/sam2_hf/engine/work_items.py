"""What is left to do in a set, as items that a worker claims; found on disk, so nothing is lost."""

from dataclasses import dataclass
from typing import Literal

from .reviews import reviewed_videos
from .set_folder import SetFolder
from .video_queue import QueuedVideo

Kind = Literal["label", "plan", "part", "join", "retrack"]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One piece of work, with all that a worker needs to find its video.

    Attributes:
        kind: "label" a whole video; "plan": find the ranges of a video that may be long; label a
            "part"; "join" the parts; "retrack" what reviewers corrected.
        video_id: The video.
        address: Where it is.
        name: Its file or folder name.
        number: Of a part.
        weight: Larger items come first.
    """

    kind: Kind
    video_id: str
    address: str = ""
    name: str = ""
    number: int = 0
    weight: int = 0

    @classmethod
    def of(cls, kind: Kind, video: QueuedVideo, number: int = 0, parts: int = 1) -> "WorkItem":
        """Make an item of a video, one of several parts."""
        weight = video.num_bytes // parts
        return cls(kind, video.id, video.address, video.name, number, weight)

    @property
    def video(self) -> QueuedVideo:
        """The video."""
        return QueuedVideo(self.video_id, self.address, self.name)

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
            items += _of_long_video(folder, video) if splits else [WorkItem.of("label", video)]
    return sorted(items, key=lambda item: -item.weight)


def review_items(folder: SetFolder) -> list[WorkItem]:
    """List the labeled videos with reviews that were not applied yet.

    Raises:
        DataError: The set is damaged.
    """
    known = set(reviewed_videos(folder)) & folder.done() - set(folder.failures())
    return [WorkItem.of("retrack", video) for video in folder.queue() if video.id in known]


def _of_long_video(folder: SetFolder, video: QueuedVideo) -> list[WorkItem]:
    ranges = folder.plan(video.id)
    if ranges is None:
        return [WorkItem.of("plan", video)]
    if len(ranges) == 1:
        return [WorkItem.of("label", video)]
    missing = [n for n in range(len(ranges)) if not folder.part(video.id, n).exists()]
    parts = [WorkItem.of("part", video, number, len(ranges)) for number in missing]
    return parts or [WorkItem.of("join", video)]
