from dataclasses import dataclass
from fractions import Fraction

import pytest

from sam2_hf.frames.video_decoder import KeyFrame, build_index, index_by_order


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


@pytest.mark.parametrize(
    "times",
    [
        [(0, 0), (10, 10), (10, 11)],  # two frames share a time
        [(0, 0), (10, 10), (5, 5), (15, 15)],  # a second recording begins
        [(0, None), (10, None), (None, None)],
    ],
    ids=["equal", "backward", "missing"],
)
def test_times_that_do_not_tell_frames_apart_are_not_used(times):
    index = index_of([FakePacket(pts, dts, is_keyframe=dts == 0) for pts, dts in times])

    assert (index.num_frames, index.num_readable, index.pts) == (len(times), len(times), ())


def test_a_packet_that_only_helps_to_decode_may_share_its_time_with_a_frame():
    packets = [FakePacket(0, 0, is_keyframe=True), FakePacket(10, 10, size=7), FakePacket(10, 11)]

    index = build_index(packets, num_declared=0, timed=True, is_hidden=lambda one: one.size == 7)

    assert index.pts == (0, 10)


def test_frames_by_order_are_those_that_came_out_and_know_their_packets():
    counted = index_of([FakePacket(None, None, is_keyframe=n in {0, 3}) for n in range(6)])

    index = index_by_order([0, 2, 1, 3, None], [0, 3], counted)  # packet 5 is lost, 4 unnamed

    assert (index.num_frames, index.num_readable) == (5, 5)
    assert list(index.numbers) == [0, 2, 1, 3, -1, -1]
    assert [index.key_before(frame).pts for frame in range(5)] == [0, 0, 0, 3, 3]


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


def test_damage_in_the_middle_is_no_cut():
    packets = [FakePacket(10 * n, 10 * n, is_keyframe=n == 0, is_corrupt=n == 2) for n in range(4)]

    index = index_of(packets)

    assert (index.num_frames, index.num_readable) == (4, 4)


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


def test_an_empty_packet_is_missing_and_a_damaged_one_at_the_end_too():
    packets = [FakePacket(0, 0), FakePacket(5, 5, size=0), FakePacket(9, 9, is_corrupt=True)]

    index = index_of(packets)

    assert (index.num_frames, index.num_packets, index.pts) == (3, 1, (0,))
