"""A worker: what fails alone, what stops everything, and what is done once."""

import errno
import os
import re
from dataclasses import replace

import pytest

from sam2_hf.engine import worker as worker_module
from sam2_hf.engine.retracking import LabelsChangedError
from sam2_hf.engine.reviews import Review, add_reviews
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.set_run import work_here
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.tracked_objects import track_objects
from sam2_hf.engine.video_queue import list_videos
from sam2_hf.engine.work_items import open_items
from sam2_hf.engine.worker import MOST_ATTEMPTS, Worker
from sam2_hf.errors import DataError, OutputError
from sam2_hf.interruption import StopRequestedError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from tests.engine.clips import write_clip
from tests.engine.test_tracked_objects import click


class Pointing:
    """A source that knows where the square is."""

    def find(self, clip, given):
        return track_objects(clip, {1: [click(0, 9.0, 9.0)]})


class Failing:
    """A source that fails on one clip, with an error of another library."""

    def find(self, clip, given):
        if clip.name == "clip01":
            raise RuntimeError("the detector\nbroke")
        return Pointing().find(clip, given)


@pytest.fixture
def folder(tiny_folder, tmp_path, monkeypatch):
    """A set of three clips whose objects are known."""
    monkeypatch.setattr("sam2_hf.engine.worker.SOURCES", {"automatic": lambda *_: Pointing()})
    for number in range(3):
        write_clip(tmp_path / "clips", number)
    made = SetFolder(tmp_path / "set")
    made.begin(LabelSettings(tiny_folder), list_videos([str(tmp_path / "clips")]))
    return made


def statuses(worker, folder):
    return [worker.do(item).status for item in open_items(folder)]


def test_a_video_that_cannot_be_read_fails_alone(folder, tmp_path):
    for path in (tmp_path / "clips/clip01").iterdir():
        path.write_bytes(b"no picture")

    assert statuses(Worker(folder), folder) == ["done", "failed", "done"]
    (failure,) = folder.failures().values()
    assert failure.name.endswith("clip01")
    assert failure.error
    assert not list(folder.claims.folder.iterdir())


def test_a_source_that_fails_fails_its_video_alone_and_says_where(folder, monkeypatch):
    monkeypatch.setattr(worker_module, "SOURCES", {"automatic": lambda *_: Failing()})

    assert statuses(Worker(folder), folder) == ["done", "failed", "done"]
    (failure,) = folder.failures().values()
    assert failure.error == "RuntimeError: the detector broke"
    assert "in find" in failure.trace


def test_a_full_disk_stops_the_run_and_the_same_run_continues(folder, monkeypatch):
    def full(*arguments):
        cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise OutputError("cannot write: No space left on device") from cause

    with monkeypatch.context() as patched:
        patched.setattr(worker_module, "write_labels", full)
        with pytest.raises(OutputError, match="No space left"):
            work_here(folder, open_items)
    assert (folder.done(), folder.failures()) == (set(), {})

    work_here(folder, open_items)

    assert len(folder.done()) == 3


def test_an_item_that_kills_its_workers_fails_in_the_end(folder):
    item = open_items(folder)[0]
    folder.claims.folder.mkdir(exist_ok=True)
    (folder.claims.folder / f"{item.key}.{MOST_ATTEMPTS}").write_text("elsewhere\n1\n\n")
    late = SetFolder(folder.root, lease=0)

    outcome = Worker(late).do(item)

    assert outcome.status == "failed"
    assert f"its worker died {MOST_ATTEMPTS} times" in outcome.text


def test_an_item_of_another_worker_is_left_to_it(folder):
    item, worker = open_items(folder)[0], Worker(folder)

    with folder.claims.hold(item.key):
        assert worker.do(item).status == "taken"
    assert [worker.do(item).status for _ in range(2)] == ["done", "taken"]


def test_a_late_worker_leaves_the_labels_of_its_successor(folder, monkeypatch):
    item = open_items(folder)[0]

    class Slow(Pointing):
        def find(self, clip, given):
            found = super().find(clip, given)
            folder.labels(item.video_id).parent.mkdir()
            folder.labels(item.video_id).write_text("reviewed")
            return found

    monkeypatch.setattr(worker_module, "SOURCES", {"automatic": lambda *_: Slow()})
    Worker(folder).do(item)

    assert folder.labels(item.video_id).read_text() == "reviewed"


def test_stopping_frees_the_item(folder):
    frames = []

    def check():
        frames.append(1)
        if len(frames) == 4:
            raise StopRequestedError

    with pytest.raises(StopRequestedError):
        work_here(folder, open_items, check=check)

    assert len(folder.done()) < 3
    assert not folder.claims.are_alive()


def test_other_weights_are_refused(folder):
    folder.require_model("tiny", "of another model")

    with pytest.raises(DataError, match="other weights"):
        Worker(folder)


def test_a_detector_that_does_not_load_ends_the_worker_instead_of_failing_each_video(
    tiny_folder, tmp_path
):
    options = {"text": ["a cup"], "detector": str(tmp_path), "detection_threshold": None}
    made = SetFolder(tmp_path / "set")
    text = LabelSettings(tiny_folder, source="text", options={**options, "detect_every": None})
    made.begin(text, list_videos([str(write_clip(tmp_path, 0))]))

    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path))):
        work_here(made, open_items)

    assert not made.failures()


def test_labels_that_another_worker_changed_are_left_to_the_next_pass(folder, monkeypatch):
    item = open_items(folder)[0]
    add_reviews(folder, item.video_id, [Review(1, "accepted")])

    def changed(*arguments):
        raise LabelsChangedError

    monkeypatch.setattr(worker_module, "apply_reviews", changed)

    assert Worker(folder).do(replace(item, kind="retrack")).status == "taken"
    assert not folder.failures()
