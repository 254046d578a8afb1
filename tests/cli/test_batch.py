"""Many photos of one command."""

import argparse
import errno
import json
import os
import threading
from concurrent.futures import Future

import pytest

from sam2_hf.cli.batch import PhotoResult, work_through
from sam2_hf.cli.inputs.sources import PHOTO, Source, list_photos
from sam2_hf.cli.report import CommandReport
from sam2_hf.errors import ImageError, OutputError, PromptError

NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def batch(tmp_path):
    """Four photos; returns exit code and report after `work` was done with each."""

    def run(work, sources=None):
        report = CommandReport("everything")
        report.total = 4
        given = sources or [Source(name, PHOTO, tmp_path / name) for name in NAMES]
        arguments = argparse.Namespace(sources=given, report=report, out=tmp_path)
        code = work_through(arguments, work)
        return code, json.loads(report.as_json(code))

    return run


def result(stem):
    return PhotoResult("1 masks", (6, 9), [f"{stem}.json"], [{"id": 1, "area": 5}])


@pytest.mark.parametrize(
    "error",
    [
        ImageError("it is damaged"),
        PromptError("point outside"),
        MemoryError("it is large"),
        RuntimeError("CUDA out of memory."),
        OutputError("the name is taken"),
    ],
)
def test_a_photo_that_fails_does_not_stop_the_others(batch, capsys, error):
    def work(photo, source, stem, _):
        if stem == "b":
            raise error
        return result(stem)

    code, report = batch(work)

    assert code == report["exit_code"] == 2
    assert [done["files"] for done in report["results"]] == [["a.json"], ["c.json"], ["d.json"]]
    assert [failed["source"] for failed in report["failed"]] == ["b.png"]
    captured = capsys.readouterr()
    assert captured.out.count("1 masks") == 3
    assert captured.err.startswith("sam2-hf: error: ")


def test_a_full_disk_stops_the_batch(batch):
    seen = []

    def work(photo, source, stem, _):
        seen.append(stem)
        raise OutputError("full") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError):
        batch(work)
    assert seen == ["a"]


def test_a_mistake_of_ours_is_not_taken_for_a_bad_photo(batch):
    def work(photo, source, stem, _):
        raise KeyError(stem)

    with pytest.raises(KeyError):
        batch(work)


def test_an_interruption_tells_what_is_done(batch, capsys):
    def work(photo, source, stem, _):
        if stem == "c":
            raise KeyboardInterrupt
        return result(stem)

    code, report = batch(work)

    assert code == 130
    assert report["error"] == "interrupted"
    assert len(report["results"]) == 2
    assert "2 of 4 photos are done" in capsys.readouterr().err


def test_results_are_named_after_addresses_too(batch, tmp_path):
    (tmp_path / "cup.png").write_bytes(b"1")
    sources = list_photos([str(tmp_path / "cup.png"), "data:image/png;base64,QUJD"])
    stems = []

    def work(photo, source, stem, _):
        stems.append((stem, photo.is_file()))
        return result(stem)

    assert batch(work, sources)[0] == 0
    assert stems == [("cup", True), ("picture", True)]


def test_files_are_written_while_the_next_photo_is_segmented(batch, capsys):
    is_second_begun, order = threading.Event(), []

    def work(photo, source, stem, _):
        def write():
            if stem == "a":
                assert is_second_begun.wait(60)
            order.append(stem)
            return [f"{stem}.json"]

        if stem == "b":
            is_second_begun.set()
        return PhotoResult("1 masks", (6, 9), write=write)

    code, report = batch(work)

    assert code == 0
    assert order == ["a", "b", "c", "d"]
    assert [done["files"] for done in report["results"]] == [[f"{stem}.json"] for stem in "abcd"]
    assert [line[0] for line in capsys.readouterr().out.splitlines() if "masks" in line] == [
        *"abcd"
    ]


def test_no_more_than_one_photo_waits_to_be_written(batch):
    waiting, most = set(), []

    def work(photo, source, stem, _):
        most.append(len(waiting))
        waiting.add(stem)
        return PhotoResult("1 masks", (6, 9), write=lambda: waiting.discard(stem) or [])

    batch(work)

    assert max(most) <= 1


def test_an_interrupted_batch_finishes_the_photo_that_is_being_written(batch, capsys):
    written = []

    def work(photo, source, stem, _):
        if stem == "b":
            raise KeyboardInterrupt
        return PhotoResult("1 masks", (6, 9), write=lambda: written.append(stem) or [])

    code, report = batch(work)

    assert code == 130
    assert written == ["a"]
    assert [done["source"] for done in report["results"]] == ["a.png"]
    assert "1 of 4 photos are done" in capsys.readouterr().err


@pytest.mark.parametrize("failure", [OutputError("the name is taken"), MemoryError("large")])
def test_a_photo_that_cannot_be_written_does_not_stop_the_others(batch, failure):
    def work(photo, source, stem, _):
        def write():
            if stem == "b":
                raise failure
            return [f"{stem}.json"]

        return PhotoResult("1 masks", (6, 9), write=write)

    code, report = batch(work)

    assert code == 2
    assert [done["files"] for done in report["results"]] == [["a.json"], ["c.json"], ["d.json"]]
    assert [failed["source"] for failed in report["failed"]] == ["b.png"]


def test_a_disk_that_is_full_while_writing_stops_the_batch(batch):
    begun = []

    def work(photo, source, stem, _):
        def write():
            raise OutputError("full") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        begun.append(stem)
        return PhotoResult("1 masks", (6, 9), write=write)

    with pytest.raises(OutputError):
        batch(work)
    assert begun == ["a", "b"]


def test_a_photo_that_is_being_written_at_ctrl_c_is_reported(batch, monkeypatch):
    ordinary, waited = Future.result, []

    def result_of(future, *timeout):
        waited.append(future)
        if len(waited) == 2:  # the second photo, which is then written by the thread
            raise KeyboardInterrupt
        return ordinary(future, *timeout)

    monkeypatch.setattr(Future, "result", result_of)

    code, report = batch(lambda photo, source, stem, _: result(stem))

    assert code == 130
    assert [done["files"] for done in report["results"]] == [["a.json"], ["b.json"]]
