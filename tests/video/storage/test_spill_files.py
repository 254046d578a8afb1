"""Append-only files of records."""

import os

import pytest

from sam2_hf.errors import OutputError, SessionError
from sam2_hf.video.storage.spill_files import PLACE, Segment, SegmentFiles, read_blocks
from tests.video.records import full_disk


@pytest.fixture
def files(tmp_path):
    files = SegmentFiles(tmp_path, segment_bytes=100)
    yield files
    files.close()


def test_records_are_read_back_from_several_segments(files):
    places = {files.append(bytes([n]) * 40): n for n in range(20)}

    assert all(files.read(place) == bytes([n]) * 40 for place, n in places.items())
    assert len(files.segments) == 7
    assert files.num_bytes == 800


def test_a_written_byte_never_changes(files):
    place = files.append(b"first")
    path = files.segments[0].path
    link = path.with_name("link")
    os.link(path, link)

    files.append(b"second")
    files.free(place)

    assert link.read_bytes()[:5] == b"first"


def test_a_segment_nobody_needs_is_removed(files):
    places = [files.append(bytes(60)) for _ in range(4)]
    first = files.segments[0].path

    files.free(places[0])
    half = first.exists()
    files.free(places[1])

    assert (half, first.exists()) == (True, False)
    assert files.read(places[2]) == bytes(60)


def test_after_the_growing_segment_is_gone_a_new_one_begins(files):
    files.free(files.append(b"short-lived"))

    assert files.num_bytes == 0
    assert files.read(files.append(b"next")) == b"next"


def test_a_full_segment_with_little_that_is_needed_is_wasteful(files):
    places = [files.append(bytes(25)) for _ in range(5)]
    for place in places[:3]:
        files.free(place)

    assert files.wasteful() == {0}


def test_a_moved_record_leaves_its_segment(files):
    places = [files.append(bytes([n]) * 50) for n in range(3)]
    files.free(places[0])

    moved = files.move(places[1])

    assert files.read(moved) == bytes([1]) * 50
    assert list(files.segments) == [1]


def test_a_full_disk_is_an_error_that_says_what_to_do_and_harms_nothing(files):
    first = files.append(b"a" * 50)

    expected = r"File too large.*Nothing is lost.*keep=\"window\""
    with pytest.raises(OutputError, match=expected), full_disk(60):
        files.append(b"b" * 40)

    assert files.segments[0].path.stat().st_size == 50
    assert files.read(first) == b"a" * 50
    assert files.read(files.append(b"c" * 40)) == b"c" * 40


def test_the_next_record_takes_the_place_of_one_that_could_not_be_taken_back(files, monkeypatch):
    first = files.append(b"a" * 50)
    monkeypatch.setattr(os, "truncate", lambda path, length: (_ for _ in ()).throw(OSError))

    with pytest.raises(OutputError), full_disk(60):
        files.append(b"b" * 40)
    third = files.append(b"c" * 40)

    assert (files.read(first), files.read(third)) == (b"a" * 50, b"c" * 40)
    assert files.segments[0].path.read_bytes() == b"a" * 50 + b"c" * 40


def test_a_deleted_or_shortened_file_is_an_error_that_names_it(files):
    place = files.append(b"a" * 50)
    path = files.segments[0].path

    os.truncate(path, 10)
    with pytest.raises(SessionError, match=r"history-.*shorter than it was"):
        files.read(place)

    path.unlink()
    with pytest.raises(SessionError, match=r"history-.*No such file"):
        files.read(place)


def test_an_adopted_segment_is_read_and_never_grows(files, tmp_path):
    path = tmp_path / "history-of-another.bin"
    path.write_bytes(b"abcdef")
    files.adopt(7, Segment(path, end=4, needed=4))

    mine = files.append(b"mine")

    assert files.read(PLACE.pack(7, 1, 3)) == b"bcd"
    assert path.read_bytes() == b"abcdef"
    assert PLACE.unpack(mine)[0] == 8


def test_blocks_end_where_they_should(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")

    assert list(read_blocks(tmp_path / "file", 7, block=3)) == [b"012", b"345", b"6"]
    assert list(read_blocks(tmp_path / "file", 99, block=8)) == [b"01234567", b"89"]
