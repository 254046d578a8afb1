"""Stochastic depth of the trunk: training only, and never saved."""

import copy

import pytest
import torch

from sam2_hf.model.hiera import drop_branch


@pytest.fixture
def own_trunk(own_model):
    return own_model.vision_encoder.backbone


def features(trunk, pictures, *, training, seed=0):
    torch.manual_seed(seed)
    return trunk.train(training)(pictures).last_hidden_state


def test_rates_grow_evenly_over_the_blocks(own_model):
    own_model.set_drop_path(0.3)

    blocks = own_model.vision_encoder.backbone.blocks
    assert [block.drop_path for block in blocks] == pytest.approx(
        torch.linspace(0, 0.3, len(blocks)).tolist()
    )
    assert len(blocks) > 2


@torch.no_grad()
def test_a_rate_of_zero_changes_no_bit(own_trunk, pictures):
    before = features(own_trunk, pictures, training=True)

    own_trunk.set_drop_path(0.5)
    own_trunk.set_drop_path(0.0)

    assert torch.equal(features(own_trunk, pictures, training=True), before)


@torch.no_grad()
def test_evaluation_never_drops_anything(own_trunk, pictures):
    before = features(own_trunk, pictures, training=False)

    own_trunk.set_drop_path(0.9)

    assert torch.equal(features(own_trunk, pictures, training=False), before)


@torch.no_grad()
def test_training_drops_at_random(own_trunk, pictures):
    own_trunk.set_drop_path(0.5)

    first, again, other = (features(own_trunk, pictures, training=True, seed=s) for s in (0, 0, 1))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_rate_is_not_saved(own_model):
    before = set(own_model.state_dict())

    own_model.set_drop_path(0.5)

    assert set(own_model.state_dict()) == before
    assert "drop_path" not in str(own_model.config.to_dict())
    assert copy.deepcopy(own_model).vision_encoder.backbone.blocks[-1].drop_path == 0.5


def test_a_branch_is_dropped_for_whole_pictures_and_keeps_its_mean():
    torch.manual_seed(0)

    branch = drop_branch(torch.ones(4000, 2, 2, 3), 0.25).flatten(1)

    assert branch.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(branch.amin(dim=1), branch.amax(dim=1))
    assert branch.mean().item() == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(own_model, rate):
    with pytest.raises(ValueError, match="drop path rate"):
        own_model.set_drop_path(rate)
