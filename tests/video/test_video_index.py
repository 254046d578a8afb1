from dataclasses import dataclass
from fractions import Fraction

import pytest

from sam2_hf.video.video_index import KeyFrame, build_index, is_whole


@dataclass
class FakePacket:
    """What a demuxer says of a compressed frame."""

    pts: int | None
    dts: int | None
    is_keyframe: bool = False
    is_discard: bool = False
    is_corrupt: bool = False
    size: int = 100


END = FakePacket(None, None, size=0)
# Shown as I P B B: the third and fourth are decoded after the one they are shown before.
REORDERED = [FakePacket(0, -20, is_keyframe=True), FakePacket(30, -10), FakePacket(10, 0)]
REORDERED = [*REORDERED, FakePacket(20, 10)]


def index_of(packets, *, num_declared=0, timed=True):
    return build_index(packets, num_declared=num_declared, timed=timed)


def test_frames_are_numbered_in_the_order_they_are_shown():
    index = index_of([*REORDERED, END])

    assert index.pts == (0, 10, 20, 30)
    assert [index.frame_at(pts) for pts in (0, 30, 15, None)] == [0, 3, None, None]
    assert (index.num_frames, index.num_readable) == (4, 4)


def test_the_key_frame_before_a_frame_is_the_last_one_shown_no_later():
    packets = [FakePacket(pts, pts, is_keyframe=pts in {0, 30}) for pts in range(0, 60, 10)]

    index = index_of(packets)

    frames = [index.key_before(frame).frame for frame in range(6)]
    assert frames == [0, 0, 0, 3, 3, 3]
    assert index.key_before(4) == KeyFrame(frame=3, pts=30, dts=30)


def test_frames_that_an_edit_list_hides_are_not_counted_but_decoded():
    hidden = [FakePacket(-10, -10, is_keyframe=True, is_discard=True)]

    index = index_of([*hidden, FakePacket(0, 0), FakePacket(10, 10)])

    assert index.pts == (0, 10)
    assert index.key_before(0) == KeyFrame(frame=0, pts=-10, dts=-10)


def test_frames_before_the_first_key_frame_are_left_out():
    packets = [FakePacket(0, 0), FakePacket(10, 10), FakePacket(20, 20, is_keyframe=True)]

    assert index_of(packets).pts == (20,)


def test_two_packets_of_one_time_are_one_frame():
    packets = [FakePacket(0, 0, is_keyframe=True), FakePacket(10, 10), FakePacket(10, 11)]

    assert index_of(packets).num_frames == 2


@pytest.mark.parametrize("timed", [True, False])
def test_a_stream_that_does_not_say_when_is_counted(timed):
    packets = [FakePacket(None if timed else 0, None), FakePacket(None if timed else 1, None)]

    index = index_of([*packets, END], timed=timed)

    assert (index.num_frames, index.pts) == (2, ())
    assert index.key_before(1) is None


def test_a_cut_off_file_has_the_frames_it_declares():
    packets = [FakePacket(10 * n, 10 * n, is_keyframe=n == 0) for n in range(4)]

    index = index_of([*packets, FakePacket(40, 40, is_corrupt=True)], num_declared=9)

    assert (index.num_frames, index.num_readable) == (9, 4)


def test_a_cut_leaves_out_frames_of_which_an_earlier_one_may_be_missing():
    index = index_of(REORDERED[:2], num_declared=4)  # shown at 0 and 30; 10 and 20 are lost

    assert (index.num_frames, index.pts) == (4, (0, 30))  # one gap says nothing of others
    longer = [FakePacket(-10, -30, is_keyframe=True), *REORDERED[:2]]
    assert index_of(longer, num_declared=5).pts == (-10, 0)


def test_the_rate_is_the_stated_one_where_that_is_near_the_truth():
    index = index_of([FakePacket(pts, pts) for pts in (0, 33, 67, 100)])

    assert index.rate(Fraction(1, 1000), Fraction(30000, 1001)) == Fraction(30000, 1001)
    assert index.rate(Fraction(1, 1000), Fraction(90)) == Fraction(30)
    assert index.rate(Fraction(1, 1000), None) == Fraction(30)


def test_a_single_frame_has_the_stated_rate_or_none():
    index = index_of([FakePacket(0, 0)])

    assert index.rate(Fraction(1), Fraction(25)) == 25
    assert index.rate(Fraction(1), None) is None


def test_no_packets_make_no_frames():
    index = index_of([END])

    assert (index.num_frames, index.num_readable) == (0, 0)


def test_an_empty_or_cut_packet_is_not_whole():
    packets = [FakePacket(0, 0), FakePacket(0, 0, size=0), FakePacket(0, 0, is_corrupt=True)]

    assert [is_whole(packet) for packet in packets] == [True, False, False]
