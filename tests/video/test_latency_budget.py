"""Late frames of a stream get the masks of the last one."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from sam2_hf.errors import SessionError
from sam2_hf.processing.prompt_reading import Click
from sam2_hf.video.latency_budget import MOST_BEHIND, LatencyBudget
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.propagation import FrameRequest
from sam2_hf.video.session_options import SessionOptions
from tests.fakes import FakeModel, center_of, fake_session_on, picture


class SlowModel(FakeModel):
    """A model that takes as long as it is told, on a clock of its own.

    Args:
        taken: Seconds of each encoded frame.
    """

    def __init__(self, taken):
        super().__init__()
        self.taken, self.now = taken, 0.0

    def encode_image(self, pixel_values):
        self.now += self.taken
        return super().encode_image(pixel_values)


def stream_on(taken, **options):
    model = SlowModel(taken)
    stream = fake_session_on(None, model, **{"approximate": True, "latency_budget": 0.1, **options})
    stream._tracker.latency = LatencyBudget(clock=lambda: model.now)
    stream.step(picture(0))
    stream.click(0, 1, (15, 10))
    return model, stream


def test_late_frames_get_the_masks_of_the_last_one():
    """A frame takes two and a half times its budget, so two of three are skipped on average."""
    model, stream = stream_on(0.25)

    results = [stream.step(picture(frame)) for frame in range(1, 31)]

    assert 10 <= len(model.encoded) <= 15
    assert [result.frame for result in results] == list(range(1, 31))
    repeated = [
        r.frame
        for r, before in zip(results[1:], results, strict=False)
        if np.array_equal(r.masks[1], before.masks[1])
    ]
    assert len(repeated) >= 15
    assert not set(repeated) & set(stream._tracker.objects[1].bank.tracked)


def test_in_time_nothing_is_skipped():
    model, stream = stream_on(0.05)
    for frame in range(1, 10):
        stream.step(picture(frame))

    assert model.encoded == list(range(10))


def test_a_frame_with_a_prompt_is_never_skipped():
    model, stream = stream_on(5.0)
    for frame in range(1, 4):
        stream.step(picture(frame))
    stream.put_prompts(4, 1, FramePrompts(clicks=(Click((30.0, 30.0), positive=True),)))

    result = stream.step(picture(4))

    assert 4 in model.encoded
    assert result.prompted == {1}


def test_a_new_object_is_tracked_at_once():
    _, stream = stream_on(5.0)
    stream.step(picture(1))
    stream.click(1, 2, (40, 40))

    assert stream.step(picture(2)).object_ids == (1, 2)


def late_stream():
    """A stream where frame 2 was tracked and frame 3 is late."""
    model, stream = stream_on(1.0)
    for frame in (1, 2):
        stream._tracker.latency = LatencyBudget(clock=lambda: model.now)
        stream.step(picture(frame))
    return model, stream


def corrected(stream):
    stream.click(2, 1, (15, 40))


def replaced_by_another(stream):
    stream.remove(1)
    stream.click(2, 1, (15, 40))


def referred(stream):
    mask = np.zeros((64, 64), dtype=bool)
    mask[30:50, 5:25] = True
    stream.reference(picture(0), mask, 1)


def undone(stream):
    stream.undo()
    stream.click(2, 1, (15, 40))


def other_options(stream):
    stream.use_options(replace(stream.options, non_overlap_masks=True))


CHANGES = [corrected, replaced_by_another, referred, undone, other_options]


@pytest.mark.parametrize("change", CHANGES)
def test_masks_of_before_a_change_are_not_repeated(change):
    model, stream = late_stream()
    change(stream)

    result = stream.step(picture(3))

    assert model.encoded[-1] == 3
    if change is not other_options and change is not referred:
        assert center_of(result.masks[1])[1] > 30


def test_masks_of_before_a_time_without_budget_are_not_repeated():
    model, stream = late_stream()
    limited = stream.options

    stream.use_options(replace(limited, latency_budget=None))
    for frame in range(3, 20):
        stream.step(picture(frame))
    stream.use_options(limited)
    stream.step(picture(20))

    assert model.encoded[-18:] == list(range(3, 21))


def test_masks_of_before_a_frame_of_transformers_api_are_not_repeated():
    model, stream = late_stream()

    stream._tracker.segment(FrameRequest(stream.frames.append(picture(3))))
    stream.step(picture(4))

    assert model.encoded[-1] == 4


def test_a_repeated_frame_has_the_prompts_of_its_own_only():
    _, stream = stream_on(1.0)
    stream.step(picture(1))
    stream.put_prompts(2, 1, FramePrompts(clicks=(Click((30.0, 30.0), positive=True),)))

    results = [stream.step(picture(frame)) for frame in (2, 3)]

    assert [result.prompted for result in results] == [{1}, set()]
    assert np.array_equal(results[0].masks[1], results[1].masks[1])


def test_decoding_prompts_takes_time_too():
    model, stream = stream_on(1.0)
    stream.put_prompts(1, 1, FramePrompts(clicks=(Click((30.0, 30.0), positive=True),)))
    for frame in (1, 2):
        stream.step(picture(frame))

    assert model.encoded == [0, 1]


def test_repeated_masks_are_in_the_masklet():
    model, stream = stream_on(0.25)

    results = [stream.step(picture(frame)) for frame in range(1, 31)]

    masklet = stream.masklet(1)
    assert len(model.encoded) < 20
    assert masklet.frames == list(range(1, 31))
    for result in results:
        assert np.array_equal(masklet.mask(result.frame), result.masks[1])
        assert masklet.object_score(result.frame) == result.object_score[1]


def test_the_masklet_of_repeated_frames_has_no_more_than_the_window():
    _, stream = stream_on(5.0)
    for frame in range(1, 120):
        stream.step(picture(frame))

    assert len(stream.masklet(1).frames) <= stream.options.window + MOST_BEHIND


def test_one_slow_frame_delays_few_others():
    model, stream = stream_on(60.0)
    stream.step(picture(1))
    model.taken = 0.05
    before = len(model.encoded)

    for frame in range(2, 42):
        stream.step(picture(frame))

    assert len(model.encoded) - before == 40 - MOST_BEHIND


def test_a_pause_pays_for_a_slow_frame():
    model, stream = stream_on(0.6)
    stream.step(picture(1))
    model.now += 0.3
    stream.step(picture(2))  # still late
    model.now += 600

    stream.step(picture(3))

    assert model.encoded[-2:] == [1, 3]


def test_a_copied_stream_begins_in_time():
    model, stream = late_stream()

    copy.deepcopy(stream).step(picture(3))
    pickle.loads(pickle.dumps(LatencyBudget(clock=lambda: model.now)))

    assert model.encoded[-1] == 3


@pytest.mark.parametrize("policy", ["samurai", "distractor", "tree", "samurai+distractor"])
def test_a_policy_that_follows_every_frame_has_no_late_frames(policy):
    with pytest.raises(SessionError, match="latency_budget cannot be combined with memory_policy"):
        SessionOptions(approximate=True, latency_budget=0.1, memory_policy=policy)
