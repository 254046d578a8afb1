from itertools import islice

import pytest

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.video.propagation import count_frames, plan_propagation


def listed(*args):
    """The runs with their frames listed."""
    return [(list(frames), direction) for frames, direction in plan_propagation(*args)]


def test_time_runs_forward_from_the_first_prompt_to_the_end():
    assert listed(None, None, "forward", 6, {4, 2}) == [([2, 3, 4, 5], "forward")]


def test_time_runs_backward_from_the_last_prompt_to_the_start():
    assert listed(None, None, "backward", 6, {4, 2}) == [([4, 3, 2, 1, 0], "backward")]


def test_both_directions_visit_no_frame_twice():
    assert listed(None, None, "both", 6, {2, 4}) == [
        ([2, 3, 4, 5], "forward"),
        ([1, 0], "backward"),
    ]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_limit_counts_frames(direction, limit):
    """max_frame_num_to_track=1 visits two: sam2_video_predictor.py:578."""
    [(frames, _)] = listed(5, limit, direction, 12, {5})

    assert len(frames) == limit


def test_a_limit_counts_in_each_direction():
    assert listed(5, 2, "both", 12, {5}) == [([5, 6], "forward"), ([4, 3], "backward")]


def test_a_limit_beyond_the_video_ends_with_it():
    assert listed(10, 99, "both", 12, {5})[0] == ([10, 11], "forward")
    assert listed(2, 99, "backward", 12, {5}) == [([2, 1, 0], "backward")]


def test_a_start_takes_the_place_of_the_prompts():
    assert listed(0, 2, "forward", 12, {5}) == [([0, 1], "forward")]


def test_backward_from_the_first_frame_visits_it():
    """The original skips it: sam2_video_predictor.py:572."""
    assert listed(0, None, "backward", 12, {0}) == [([0], "backward")]


def test_a_video_of_unknown_length_goes_on_until_somebody_stops():
    [(frames, direction)] = plan_propagation(3, None, "forward", None, {3})

    assert direction == "forward"
    assert list(islice(frames, 4)) == [3, 4, 5, 6]
    assert listed(3, 2, "forward", None, {3}) == [([3, 4], "forward")]


@pytest.mark.parametrize("start", [-1, 12, 100])
def test_a_start_outside_the_video_is_refused(start):
    with pytest.raises(FrameError, match=rf"no frame {start} .* 0 up to 11"):
        plan_propagation(start, None, "forward", 12, {5})


def test_a_negative_limit_is_refused():
    with pytest.raises(SessionError, match="limit is -1"):
        plan_propagation(0, -1, "forward", 12, {5})


def test_an_unknown_direction_is_refused():
    with pytest.raises(SessionError, match="'sideways' is unknown"):
        plan_propagation(0, None, "sideways", 12, {5})


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("start", [None, 0, 5, 11])
@pytest.mark.parametrize("limit", [None, 0, 2, 99])
def test_as_many_frames_are_counted_as_are_visited(direction, start, limit):
    visited = listed(start, limit, direction, 12, {4, 7})

    assert count_frames(start, limit, direction, 12, {4, 7}) == sum(len(run) for run, _ in visited)


@pytest.mark.parametrize(
    ("direction", "limit", "count"),
    [("forward", None, None), ("both", None, None), ("forward", 3, 3), ("backward", None, 8)],
)
def test_an_unknown_end_cannot_be_counted_to(direction, limit, count):
    assert count_frames(None, limit, direction, None, {4, 7}) == count
