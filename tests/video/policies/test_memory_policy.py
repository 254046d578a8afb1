import random

import pytest

from sam2_hf.video.policies.memory_policy import (
    MemoryRules,
    TrackingStep,
    closest_prompted,
    pointer_frames,
    recent_frames,
)

NUM_FRAMES = 14


def official_recent_frames(frame_idx, num_maskmem, stride, track_in_reverse):
    """sam2/modeling/sam2_base.py:538-562 @ 2b90b9f, statement by statement."""
    frames = []
    for t_pos in range(1, num_maskmem):
        t_rel = num_maskmem - t_pos
        if t_rel == 1:
            prev = frame_idx - t_rel if not track_in_reverse else frame_idx + t_rel
        elif not track_in_reverse:
            prev = ((frame_idx - 2) // stride) * stride
            prev = prev - (t_rel - 2) * stride
        else:
            prev = -(-(frame_idx + 2) // stride) * stride
            prev = prev + (t_rel - 2) * stride
        frames.append(prev)
    return frames


def official_pointer_frames(frame_idx, num_frames, max_pointers, track_in_reverse):
    """sam2/modeling/sam2_base.py:611-617 @ 2b90b9f."""
    frames = []
    for t_diff in range(1, min(num_frames, max_pointers)):
        t = frame_idx + t_diff if track_in_reverse else frame_idx - t_diff
        if t < 0 or t >= num_frames:
            break
        frames.append(t)
    return frames


def official_closest(frame_idx, frames, limit):
    """sam2/modeling/sam2_utils.py:18-65 @ 2b90b9f."""
    if limit == -1 or len(frames) <= limit:
        return list(frames), []
    selected = []
    before = max((t for t in frames if t < frame_idx), default=None)
    after = min((t for t in frames if t >= frame_idx), default=None)
    selected.extend(t for t in (before, after) if t is not None)
    remaining = sorted((t for t in frames if t not in selected), key=lambda t: abs(t - frame_idx))
    selected.extend(remaining[: limit - len(selected)])
    return selected, [t for t in frames if t not in selected]


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("num_memories", [2, 3, 7])
def test_recent_frames_are_those_of_the_original(stride, direction, num_memories):
    for frame in range(NUM_FRAMES):
        found = recent_frames(TrackingStep(frame, direction), count=num_memories - 1, stride=stride)

        expected = official_recent_frames(frame, num_memories, stride, direction == "backward")
        assert found == expected, frame


def test_the_neighbor_and_then_every_third_frame_is_remembered():
    assert recent_frames(TrackingStep(20), count=4, stride=3) == [12, 15, 18, 19]
    assert recent_frames(TrackingStep(20, "backward"), count=4, stride=3) == [30, 27, 24, 21]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("num_frames", [1, 5, NUM_FRAMES, 40])
def test_pointer_frames_are_those_of_the_original(direction, num_frames):
    for frame in range(num_frames):
        found = pointer_frames(TrackingStep(frame, direction, num_frames), count=16)

        assert found == official_pointer_frames(frame, num_frames, 16, direction == "backward")


def test_a_stream_has_no_end_that_pointers_could_stop_at():
    assert pointer_frames(TrackingStep(3), count=16) == [2, 1, 0]
    assert pointer_frames(TrackingStep(3, "backward"), count=4) == [4, 5, 6]


@pytest.mark.parametrize(
    ("now", "limit", "chosen", "others"),
    [
        (5, -1, [9, 0, 4], []),
        (5, 3, [9, 0, 4], []),
        (5, 2, [4, 9], [0]),
        (9, 2, [4, 9], [0]),  # the frame itself counts as one that is to come
        (20, 2, [9, 4], [0]),  # nothing is to come, so the next nearest takes its place
        (-1, 2, [0, 4], [9]),
    ],
)
def test_prompted_frames_before_and_after_come_first(now, limit, chosen, others):
    assert closest_prompted(now, [9, 0, 4], limit) == (chosen, others)


def test_no_prompted_frame_leaves_nothing_to_choose():
    assert closest_prompted(3, [], 2) == ([], [])


@pytest.mark.parametrize("limit", [-1, 2, 3, 4])
def test_prompted_frames_are_chosen_as_by_the_original(limit):
    generator = random.Random(0)
    for _ in range(50):
        frames = generator.sample(range(NUM_FRAMES), generator.randint(1, 8))
        now = generator.randrange(NUM_FRAMES)

        assert closest_prompted(now, frames, limit) == official_closest(now, frames, limit)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_how_long_ago_follows_the_direction_of_time(direction):
    step = TrackingStep(10, direction)

    assert step.back_to(7) == (3 if direction == "forward" else -3)
    assert step.back_to(13) == (-3 if direction == "forward" else 3)


@pytest.mark.parametrize(
    ("num_frames", "clip_times", "longest"),
    [(None, True, 15), (100, True, 15), (8, True, 7), (8, False, 15), (1, True, 1)],
)
def test_pointer_times_are_parts_of_the_longest_time(num_frames, clip_times, longest):
    rules = MemoryRules(clip_times=clip_times)

    assert rules.longest_time(TrackingStep(0, num_frames=num_frames)) == longest
