"""The model with made-up weights."""

import torch

from sam2_hf import ImageSegmentationPipeline, MaskGenerationPipeline
from sam2_hf.pipelines.placeholder import placeholder_model


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
