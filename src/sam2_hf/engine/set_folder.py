"""The folder of a set: settings, queue, labeled videos, reviews, and what became of each item.

set.json            settings; what the set is made with
queue.json          its videos
model.json          fingerprint of the model, written by the first worker
prompts/ID.json     objects of a file of prompts
videos/ID.jsonl     labeled videos; one that is there is whole
parts/ID/           ranges of a long video, and those that are labeled
reviews/ID.json     decisions and corrections of persons, not yet applied
reviews/ID.failed.json  those that cannot be applied
failures/ID.json    videos that failed, and why
claims/             which worker does what, see `claims.py`
times/ID.json       seconds that a video took; apart, so that everything above is reproducible
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import make_folder, write_atomically
from sam2_hf.engine.prompts.given_objects import GivenObject
from sam2_hf.errors import DataError, SessionError
from sam2_hf.json_input import load_json

from .claims import LEASE_S, Claims
from .settings import LabelSettings
from .video_labels import VideoLabels, read_labels
from .video_queue import QueuedVideo

SETTINGS, QUEUE, MODEL = "set.json", "queue.json", "model.json"
FOLDERS = ("videos", "parts/*", "prompts", "reviews", "claims", "failures", "times")
LEFTOVER_S = 86_400.0  # since a hidden file was written last, after which nobody writes it
CHANGE = "set"  # what a command claims that changes settings or queue
PATIENCE_S = 30.0  # to wait for another command that changes the queue


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item failed.

    Attributes:
        id: The video.
        name: Its address.
        error: One line.
        trace: Where it happened, for the maintainers of a source.
    """

    id: str
    name: str
    error: str
    trace: str = ""


class SetFolder:
    """A set on disk, which several processes may work on.

    Args:
        root: Its folder.
        lease: Seconds without progress after which a worker's claim is dead.
    """

    def __init__(self, root: str | os.PathLike[str], lease: float = LEASE_S) -> None:
        self.root = Path(root)
        self.claims = Claims(self.root / "claims", lease)

    @property
    def exists(self) -> bool:
        """Whether there is a set."""
        return (self.root / SETTINGS).is_file()

    @property
    def has_labels(self) -> bool:
        """Whether anything was labeled; until then idle sets may change their settings."""
        return bool(self.done()) or any(self.root.glob("parts/*/*.jsonl"))

    def require(self) -> None:
        """Refuse a folder that is not a set.

        Raises:
            DataError: There is none.
        """
        if not self.exists:
            raise DataError(
                f"{self.root} is not a set. Begin one with: sam2-hf label VIDEOS --out {self.root}"
            )

    def begin(
        self,
        settings: LabelSettings,
        videos: Iterable[QueuedVideo],
        given: Mapping[str, Sequence[GivenObject]] | None = None,
    ) -> None:
        """Begin a set, or add videos to it.

        Args:
            settings: Settings.
            videos: Videos for the queue; those that are in it stay.
            given: Objects of a file of prompts, by id.

        Raises:
            SessionError: The set was begun with other settings and has labels or a worker, a
                labeled video had other prompts, or another command is adding videos.
            OutputError: The folder cannot be written.
        """
        make_folder(self.root)
        with self._changing():
            self._begin(settings, videos, given or {})

    def _begin(
        self,
        settings: LabelSettings,
        videos: Iterable[QueuedVideo],
        given: Mapping[str, Sequence[GivenObject]],
    ) -> None:
        if self.exists and (self.has_labels or self.claims.are_alive(besides=CHANGE)):
            settings.require_same(self.settings(), str(self.root))
        else:
            (self.root / MODEL).unlink(missing_ok=True)
            self._write(SETTINGS, settings.as_json())
        done = self.done()
        for video_id, objects in given.items():
            if video_id in done and list(objects) != self.given(video_id):
                raise SessionError(
                    f"the prompts of {video_id} are not those that it was labeled with. Restore "
                    "them, or choose another --out."
                )
            self._write(f"prompts/{video_id}.json", [item.as_json() for item in objects])
        queue = {video.id: video for video in (*self.queue(), *videos)}
        self._write(QUEUE, [video.as_json() for video in queue.values()])

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other commands from changing settings and queue.

        Raises:
            SessionError: Another one does so all the time.
        """
        end = time.monotonic() + PATIENCE_S
        while (claim := self.claims.take(CHANGE)) is None:
            if time.monotonic() > end:
                raise SessionError(f"another command is changing {self.root}. Try again.")
            time.sleep(0.05)
        try:
            yield
        finally:
            self.claims.release(claim)

    def settings(self) -> LabelSettings:
        """Read the settings.

        Raises:
            DataError: They are missing or damaged.
        """
        path = self.root / SETTINGS
        return LabelSettings.from_json(load_json(path), str(path))

    def queue(self) -> list[QueuedVideo]:
        """List the videos, in the order they were added; none if there is no set yet.

        Raises:
            DataError: The queue is damaged.
        """
        path = self.root / QUEUE
        if not path.exists():
            return []
        try:
            return [QueuedVideo(**fields) for fields in load_json(path)]
        except TypeError as error:
            raise DataError(f"{path} holds no queue ({error}).") from error

    def given(self, video_id: str) -> list[GivenObject]:
        """List the objects that a file of prompts has for a video.

        Raises:
            DataError: They are damaged.
        """
        path = self.root / f"prompts/{video_id}.json"
        return [GivenObject.from_json(item) for item in load_json(path)] if path.exists() else []

    def labels(self, video_id: str) -> Path:
        """Return the file of a labeled video."""
        return self.root / f"videos/{video_id}.jsonl"

    def part(self, video_id: str, number: int) -> Path:
        """Return the file of a labeled part of a video."""
        return self.root / f"parts/{video_id}/{number:04d}.jsonl"

    def done(self) -> set[str]:
        """List the ids of labeled videos."""
        return _stems(self.root / "videos", ".jsonl")

    def videos(self) -> Iterator[VideoLabels]:
        """Read what is known of each labeled video, in the order of the queue.

        Raises:
            DataError: A file is damaged.
        """
        done = self.done()
        for video in self.queue():
            if video.id in done:
                yield read_labels(self.labels(video.id))

    def clear_leftovers(self) -> None:
        """Remove what killed workers left half written."""
        folders = [self.root, *(folder for name in FOLDERS for folder in self.root.glob(name))]
        for path in (path for folder in folders for path in folder.glob(".*.part")):
            with contextlib.suppress(OSError):  # it is being renamed
                if time.time() - path.stat().st_mtime > LEFTOVER_S:
                    path.unlink()

    def plan(self, video_id: str) -> list[tuple[int, int]] | None:
        """Read the ranges that a long video is split into; None if it was not looked at yet."""
        path = self.root / f"parts/{video_id}/plan.json"
        return [(first, stop) for first, stop in load_json(path)] if path.exists() else None

    def write_plan(self, video_id: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Record the ranges of a video; a single one means that it is not split."""
        self._write(f"parts/{video_id}/plan.json", [list(item) for item in ranges])

    def failures(self) -> dict[str, Failure]:
        """Read why videos failed, by id."""
        found = {}
        for stem in sorted(_stems(self.root / "failures", ".json")):
            with contextlib.suppress(DataError, TypeError):  # it is being removed
                found[stem] = Failure(**load_json(self.root / f"failures/{stem}.json"))
        return found

    def fail(self, failure: Failure) -> None:
        """Record a failure."""
        self._write(f"failures/{failure.id}.json", asdict(failure))

    def forget_failures(self) -> None:
        """Let the videos that failed be tried again."""
        for stem in _stems(self.root / "failures", ".json"):
            self.forget_failure(stem)

    def forget_failure(self, video_id: str) -> None:
        """Let a video be tried again."""
        (self.root / f"failures/{video_id}.json").unlink(missing_ok=True)

    def require_model(self, name: str, fingerprint: str) -> None:
        """Record the model of the set, or refuse another one.

        Raises:
            DataError: The set was made with other weights.
        """
        path = self.root / MODEL
        if path.exists():
            before = load_json(path)
            if before.get("fingerprint") != fingerprint:
                raise DataError(
                    f"{self.root} was labeled with other weights of {before.get('name')}. Use "
                    "those, or choose another --out."
                )
            return
        self._write(MODEL, {"name": name, "fingerprint": fingerprint})

    def record_time(self, video_id: str, facts: Mapping[str, Any]) -> None:
        """Record how long a video took."""
        self._write(f"times/{video_id}.json", dict(facts))

    def times(self) -> list[dict[str, Any]]:
        """Read how long videos took."""
        folder = self.root / "times"
        return [load_json(folder / f"{stem}.json") for stem in sorted(_stems(folder, ".json"))]

    def _write(self, name: str, content: Any) -> None:  # noqa: ANN401 - any JSON
        write_atomically(self.root / name, f"{json.dumps(content, indent=1)}\n".encode())


def _stems(folder: Path, ending: str) -> set[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return set()
    return {
        name.removesuffix(ending)
        for name in names
        if name.endswith(ending) and not name.startswith(".")
    }
