"""Late frames of a stream get the masks of the last one."""

import numpy as np

from sam2_hf.processing.prompt_reading import Click
from sam2_hf.video.prompts import FramePrompts
from tests.fakes import FakeModel, fake_session_on, picture


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


def stream_on(monkeypatch, taken, **options):
    model = SlowModel(taken)
    monkeypatch.setattr("sam2_hf.video.latency_budget.time.perf_counter", lambda: model.now)
    stream = fake_session_on(None, model, **options)
    stream.step(picture(0))
    stream.click(0, 1, (15, 10))
    return model, stream


def test_late_frames_get_the_masks_of_the_last_one(monkeypatch):
    """A frame takes two and a half times its budget, so two of three are skipped on average."""
    model, stream = stream_on(monkeypatch, 0.25, approximate=True, latency_budget=0.1)

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


def test_in_time_nothing_is_skipped(monkeypatch):
    model, stream = stream_on(monkeypatch, 0.05, approximate=True, latency_budget=0.1)
    for frame in range(1, 10):
        stream.step(picture(frame))

    assert model.encoded == list(range(10))


def test_a_frame_with_a_prompt_is_never_skipped(monkeypatch):
    model, stream = stream_on(monkeypatch, 5.0, approximate=True, latency_budget=0.1)
    for frame in range(1, 4):
        stream.step(picture(frame))
    stream.put_prompts(4, 1, FramePrompts(clicks=(Click((30.0, 30.0), positive=True),)))

    result = stream.step(picture(4))

    assert 4 in model.encoded
    assert result.prompted == {1}


def test_a_new_object_is_tracked_at_once(monkeypatch):
    _, stream = stream_on(monkeypatch, 5.0, approximate=True, latency_budget=0.1)
    stream.step(picture(1))
    stream.click(1, 2, (40, 40))

    assert stream.step(picture(2)).object_ids == (1, 2)
