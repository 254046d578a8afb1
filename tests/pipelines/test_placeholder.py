"""The models with made-up weights."""

import torch
from seeded_inputs import photo

from sam2_hf import ImageSegmentationPipeline, MaskGenerationPipeline
from sam2_hf.pipelines.placeholder import (
    placeholder_model,
    placeholder_video_model as video_model,
)
from sam2_hf.video.session import Sam2VideoInferenceSession


def test_it_is_the_same_at_every_call_and_draws_from_nobodys_random_numbers():
    before = torch.get_rng_state()

    first, second = placeholder_model(), placeholder_model()

    assert torch.equal(before, torch.get_rng_state())
    for left, right in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_it_is_small_and_ready_for_use():
    model = placeholder_model()

    assert sum(weight.numel() for weight in model.parameters()) < 2e6
    assert not model.training
    assert {weight.device.type for weight in model.parameters()} == {"cpu"}


def test_it_shows_something_with_the_default_thresholds(wide):
    model = placeholder_model()

    clicked = ImageSegmentationPipeline(model)(wide, points=(60, 30))
    everything = MaskGenerationPipeline(model, points_per_side=4)(wide)

    assert clicked.best.any()
    assert len(everything) >= 1


def test_the_video_model_tracks_something():
    session = Sam2VideoInferenceSession.open([photo(60, 120, n) for n in range(3)], video_model())
    session.click(0, 1, (60, 30))

    results = list(session.propagate())

    assert [result.frame for result in results] == [0, 1, 2]
    assert all(result.masks[1].any() for result in results)


def test_the_video_model_is_the_same_at_every_call():
    first, second = video_model().state_dict(), video_model().state_dict()

    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    assert sum(weight.numel() for weight in first.values()) < 3e6
