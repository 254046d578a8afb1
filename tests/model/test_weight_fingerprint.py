import copy

import pytest
import torch
from torch import nn

from sam2_hf.model.weight_fingerprint import WeightWatch, is_same_model, weight_fingerprint


def mark(model, **options):
    return weight_fingerprint(model.config, model.parameters(), **options)


@pytest.mark.parametrize("counted", [True, False], ids=["counted by torch", "by .data"])
def test_a_single_value_makes_another_fingerprint(own_model, counted):
    before, copied = mark(own_model), copy.deepcopy(own_model)
    weight = own_model.vision_encoder.backbone.blocks[1].attn.qkv.weight

    with torch.no_grad():
        (weight if counted else weight.data)[3, 5] += 1e-3

    assert mark(own_model) != before
    assert mark(copied) == before


def test_a_buffer_may_be_part_of_it(own_model):
    before = mark(own_model, buffers=own_model.buffers())

    own_model.shared_image_embedding.positional_embedding[0, 0] += 1.0

    assert mark(own_model, buffers=own_model.buffers()) != before


def test_a_fingerprint_of_an_earlier_version_is_recognized(own_model):
    current = mark(own_model)

    assert is_same_model(current, current)
    assert is_same_model(current[:64], current)
    assert not is_same_model(current[:8], current)
    assert not is_same_model(current[:64] + "0" * 64, current)


def replace_data(layer):
    layer.weight.data = layer.weight.detach() * 2


def write_data(layer):
    layer.weight.data.mul_(2)


def write_a_value(layer):
    with torch.no_grad():
        layer.weight[3, 1] += 1


def replace_weight(layer):
    layer.weight = nn.Parameter(layer.weight.detach().clone())


def cast(layer):
    layer.bfloat16()


@pytest.mark.parametrize(
    "change",
    [replace_data, write_data, write_a_value, replace_weight, cast],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_watch_notices_a_change_once(change, layout):
    layer = nn.Conv2d(64, 32, 3).to(memory_format=layout)
    watch, weights = WeightWatch(), list(layer.parameters())
    first = [watch.have_changed(weights) for _ in range(3)]

    change(layer)
    weights = list(layer.parameters())

    assert first == [True, False, False]
    assert [watch.have_changed(weights) for _ in range(2)] == [True, False]


def test_a_watch_notices_writes_in_inference_mode():
    with torch.inference_mode():
        weights = [torch.ones(4)]
        watch = WeightWatch()
        watch.have_changed(weights)

        weights[0].add_(1)

        assert watch.have_changed(weights)
        assert not watch.have_changed(weights)
