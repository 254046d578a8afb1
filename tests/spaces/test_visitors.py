"""Visits: begun, limited, idle, ended, and deleted with all their files."""

import os
from dataclasses import replace

import numpy as np
import pytest

from sam2_space.file_places import FilePlaces, safe_stem
from sam2_space.limits import LimitError, Limits
from sam2_space.visitors import PICTURES_KEPT, RESULTS_KEPT, Visitors

ANN, BOB = "a" * 32, "b" * 32
PICTURE = np.zeros((4, 6, 3), np.uint8)


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self):
        return self.now


class Work:
    """Something that is worked on."""

    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def visitors(tmp_path, clock):
    return Visitors(FilePlaces(tmp_path), Limits(visitors=2, idle_minutes=10), clock)


def test_every_page_of_every_browser_has_a_visit_of_its_own(visitors):
    first, again = visitors.of(ANN, "p1"), visitors.of(ANN, "p1")

    assert first is again
    assert visitors.of(BOB, "p1") is not first
    assert first.folder.parent == visitors.places.owner_folder(ANN)


def test_an_idle_visit_is_deleted_with_its_files_and_its_work(visitors, clock, tmp_path):
    idle, busy, work = visitors.of(ANN, "p1"), visitors.of(BOB, "p1"), Work()
    idle.set_work("photo", work)
    pictures = [idle.store_picture(PICTURE), busy.store_picture(PICTURE)]
    clock.now = 9 * 60
    visitors.of(BOB, "p1")
    clock.now = 11 * 60

    visitors.clean()

    assert [os.path.exists(path) for path in pictures] == [False, True]
    assert work.is_closed
    assert idle.is_closed
    assert len(visitors) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_visit_whose_long_job_still_shows_pictures_is_not_idle(visitors, clock):
    visitor = visitors.of(ANN, "p1")
    clock.now = 9 * 60
    visitor.store_picture(PICTURE)
    clock.now = 18 * 60

    visitors.clean()

    assert not visitor.is_closed


def test_a_job_keeps_its_visit_while_it_runs_or_waits_and_no_longer(visitors, clock):
    runs, waits = visitors.of(ANN, "p1"), visitors.of(BOB, "p1")
    waits.expect_job()
    with runs.job():
        clock.now = 30 * 60
        visitors.clean()
        assert (runs.is_closed, waits.is_closed) == (False, False)
    with waits.job():
        pass
    clock.now = 41 * 60

    visitors.clean()

    assert (runs.is_closed, waits.is_closed) == (True, True)


def test_a_page_that_comes_back_in_time_loses_nothing(visitors, clock):
    for cookie in (ANN, BOB):
        visitors.of(cookie, "p1")
        visitors.went_away(cookie, "p1")
    clock.now = 30
    visitors.came_back(ANN, "p1")
    clock.now = 61

    visitors.clean()

    assert list(visitors._visits) == [(ANN, "p1")]


def test_a_visit_that_cannot_be_ended_keeps_no_other_one(visitors, clock, caplog):
    for cookie in (ANN, BOB):
        visitors.of(cookie, "p1")
    broken, work = Work(), Work()
    broken.close = lambda: 1 / 0
    visitors.of(ANN, "p1").set_work("photo", broken)
    visitors.of(BOB, "p1").set_work("photo", work)
    clock.now = 11 * 60

    visitors.clean()

    assert work.is_closed
    assert "could not be ended" in caplog.text


def test_the_visit_that_was_idle_longest_makes_room(visitors, clock):
    first = visitors.of(ANN, "p1")
    clock.now = 5
    visitors.of(BOB, "p1")
    clock.now = 64

    assert not visitors.of("c" * 32, "p1").is_closed
    assert first.is_closed
    with pytest.raises(LimitError):  # the others were here a moment ago
        visitors.of(ANN, "p2")


def test_only_the_newest_results_of_a_visit_stay(visitors):
    visitor = visitors.of(ANN, "p1")

    made = [visitor.results_folder() for _ in range(RESULTS_KEPT + 2)]

    assert [one.exists() for one in made] == [False] * 2 + [True] * RESULTS_KEPT


def test_leaving_deletes_at_once_and_twice_is_fine(visitors, tmp_path):
    visitors.of(ANN, "p1").store_picture(PICTURE)

    visitors.leave(ANN, "p1")
    visitors.leave(ANN, "p1")

    assert not list(tmp_path.iterdir())


def test_a_job_that_outlives_its_visit_leaves_nothing_behind(visitors, tmp_path):
    visitor, late = visitors.of(ANN, "p1"), Work()
    visitors.leave(ANN, "p1")

    for verb in (
        lambda: visitor.store_picture(PICTURE),
        lambda: visitor.new_folder(),
        lambda: visitor.set_work("photo", late),
    ):
        with pytest.raises(LimitError, match="visit has ended"):
            verb()

    assert late.is_closed
    assert not list(tmp_path.iterdir())


def test_nobody_else_can_end_a_visit(visitors):
    visitors.of(ANN, "p1")

    visitors.leave(BOB, "p1")

    assert len(visitors) == 1


def test_there_is_room_again_when_somebody_has_left(visitors):
    visitors.of(ANN, "p1")
    visitors.of(BOB, "p1")
    with pytest.raises(LimitError, match="2 people are already using this page"):
        visitors.of("c" * 32, "p1")

    visitors.leave(ANN, "p1")

    assert not visitors.of("c" * 32, "p1").is_closed


def test_only_the_newest_pictures_of_a_visit_stay(visitors):
    visitor = visitors.of(ANN, "p1")

    paths = [visitor.store_picture(PICTURE) for _ in range(PICTURES_KEPT + 5)]

    assert [os.path.exists(path) for path in paths] == [False] * 5 + [True] * PICTURES_KEPT


def test_new_work_closes_the_work_before(visitors):
    visitor, before = visitors.of(ANN, "p1"), Work()
    visitor.set_work("photo", before)

    visitor.set_work("photo", Work())

    assert before.is_closed
    assert not visitor.works["photo"].is_closed


def test_an_upload_nobody_came_for_goes_in_the_end(visitors, tmp_path):
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "cup.jpg").write_bytes(b"cup")
    kept = visitors.places.keep_upload(tmp_path / "hash" / "cup.jpg", ANN)
    assert kept.read_bytes() == b"cup"
    os.utime(kept, (0, 0))

    visitors.clean()

    assert not list(tmp_path.iterdir())


def test_files_belong_to_the_browser_whose_folder_they_are_in(tmp_path):
    places = FilePlaces(tmp_path)
    mine = places.owner_folder(ANN) / "x" / "a.png"

    assert places.is_allowed(mine, ANN)
    assert not places.is_allowed(mine, BOB)
    assert places.is_allowed(places.samples / "cup.jpg", BOB)
    assert not places.is_allowed(places.samples / "cup.jpg", BOB, samples=False)
    for path in (tmp_path, places.samples / ".." / "x", places.owner_folder(ANN)):
        assert not places.is_allowed(path, ANN)


def test_a_link_does_not_lead_to_others(tmp_path):
    places = FilePlaces(tmp_path)
    for cookie in (ANN, BOB):
        places.owner_folder(cookie).mkdir()
    (places.owner_folder(ANN) / "link").symlink_to(places.owner_folder(BOB))

    assert not places.is_allowed(places.owner_folder(ANN) / "link" / "a.png", ANN)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my cup.jpg", "my cup"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.exe.jpg", "evil exe"),
        ("<img src=x onerror=alert(1)>.png", "img src x onerror alert 1"),
        ("Tässchen-1.JPG", "Tässchen-1"),
        ("..", "photo"),
        ("", "photo"),
        (None, "photo"),
        ("a" * 300 + ".png", "a" * 60),
    ],
)
def test_a_files_name_is_cleaned(name, expected):
    assert safe_stem(name, "photo") == expected


def test_limits_are_told_in_words():
    limits = replace(Limits(), jobs=1, idle_minutes=0.5)

    assert "1 job runs at a time" in limits.video_text()
    assert "deleted 0.5 minutes after" in limits.photo_text()
