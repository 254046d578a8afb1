import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from sam2_hf.model.kernels.fast_paths import WeightCache

GRID = (16, 16)  # the trunk's first grid at 64 pixels


class Counted:
    """A computation on one weight that counts how often it is made."""

    def __init__(self, weight):
        self.weight = weight
        self.cache = WeightCache()
        self.times = 0

    def value(self, key=()):
        return self.cache.get((self.weight,), key, self.compute)

    def compute(self):
        self.times += 1
        return self.weight * 2


def weight(**options):
    return torch.arange(4.0, **options)


def replace_parameter(trunk):
    trunk.pos_embed = nn.Parameter(trunk.pos_embed.detach() * 2)


def write_data(trunk):
    trunk.pos_embed.data.mul_(2)


def write_one_value_of_data(trunk):
    trunk.pos_embed_window.data[0, 0, 0, 0] += 1


def replace_data(trunk):
    trunk.pos_embed.data = trunk.pos_embed.detach() * 2


@torch.no_grad()
def write_in_place(trunk):
    trunk.pos_embed.mul_(2)


def load_other_weights(trunk):
    trunk.load_state_dict({name: value * 2 for name, value in trunk.state_dict().items()})


def assign_other_weights(trunk):
    doubled = {name: value * 2 for name, value in trunk.state_dict().items()}
    trunk.load_state_dict(doubled, assign=True)


def cast(trunk):
    trunk.to(torch.float64)


def cast_down_and_up(trunk):
    trunk.to(torch.bfloat16)
    trunk.to(torch.float32)


@torch.enable_grad()
def step_with_an_optimizer(trunk):
    trunk.pos_embed.grad = torch.ones_like(trunk.pos_embed)
    torch.optim.SGD([trunk.pos_embed], lr=0.5).step()


CHANGES = (
    replace_parameter,
    replace_data,
    write_data,
    write_one_value_of_data,
    write_in_place,
    load_other_weights,
    assign_other_weights,
    cast,
    cast_down_and_up,
    step_with_an_optimizer,
)


def test_a_value_is_computed_once_and_kept():
    counted = Counted(weight())

    first, second = counted.value(), counted.value()

    assert first is second
    assert counted.times == 1


def test_another_key_makes_another_value():
    counted = Counted(weight())

    counted.value(key=(1,))
    counted.value(key=(2,))

    assert counted.times == 2


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_the_trunk_notices_every_change_of_its_position_weights(drawn_model, change):
    trunk = copy.deepcopy(drawn_model.vision_encoder.backbone)
    stale = trunk._position_table(*GRID)

    change(trunk)

    fresh = copy.deepcopy(trunk)._position_table(*GRID)  # a copy starts with an empty cache
    assert torch.equal(trunk._position_table(*GRID), fresh)
    assert stale.dtype != fresh.dtype or not torch.equal(stale, fresh)


@torch.no_grad()
def test_a_moved_weight_makes_a_value_on_its_device():
    layer = nn.Linear(2, 2)
    cache = WeightCache()

    here = cache.get((layer.weight,), (), lambda: layer.weight + 1)
    layer.to("meta")
    there = cache.get((layer.weight,), (), lambda: layer.weight + 1)

    assert (here.device.type, there.device.type) == ("cpu", "meta")


def test_another_weight_at_the_same_address_is_not_mistaken_for_the_one_before():
    memory = np.ones(4, dtype=np.float32)
    counted = Counted(torch.from_numpy(memory))
    counted.value()

    memory[:] = 3.0
    counted.weight = torch.from_numpy(memory)

    assert torch.equal(counted.value(), torch.full((4,), 6.0))


def test_equal_values_in_another_place_keep_the_value():
    counted = Counted(weight())
    counted.value()

    counted.weight = weight()
    counted.value()

    assert counted.times == 1


def test_nothing_is_kept_while_gradients_are_recorded():
    counted = Counted(weight(requires_grad=True))

    for _ in range(2):
        counted.value().sum().backward()

    assert counted.times == 2
    assert torch.equal(counted.weight.grad, torch.full((4,), 4.0))


def test_a_kept_value_is_not_used_once_gradients_are_recorded():
    counted = Counted(weight(requires_grad=True))
    with torch.no_grad():
        kept = counted.value()

    value = counted.value()

    assert not kept.requires_grad
    assert value.requires_grad


def test_frozen_weights_are_kept_although_gradients_are_recorded():
    counted = Counted(weight())

    with torch.enable_grad():
        counted.value()
        counted.value()

    assert counted.times == 1


def test_a_value_made_in_inference_mode_can_take_part_in_training():
    counted = Counted(weight())
    with torch.inference_mode():
        kept = counted.value()
    factor = torch.ones(4, requires_grad=True)

    (kept * factor).sum().backward()

    assert not kept.is_inference()
    assert torch.equal(factor.grad, kept)


def test_writes_to_weights_made_in_inference_mode_are_noticed():
    with torch.inference_mode():
        counted = Counted(weight())

        counted.value()
        counted.weight.add_(1)

        assert torch.equal(counted.value(), counted.weight * 2)


def test_nothing_is_kept_while_a_graph_is_compiled(monkeypatch):
    counted = Counted(weight())
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)

    counted.value()
    counted.value()

    assert counted.times == 2


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
)
def test_copies_and_pickles_start_empty(duplicate):
    counted = Counted(weight())
    counted.value()

    counted.cache = duplicate(counted.cache)
    counted.value()

    assert counted.times == 2
