import copy

import pytest
import torch
from torch import nn

from sam2_hf.model.checkpoints.weight_fingerprint import (
    WeightWatch,
    is_same_model,
    weight_fingerprint,
)


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


LAYOUTS = {
    "linear": lambda: torch.zeros(96, 24),
    "transposed": lambda: torch.zeros(24, 96).t(),
    "convolution": lambda: torch.zeros(32, 12, 3, 3),
    "channels last": lambda: torch.zeros(32, 12, 3, 3).to(memory_format=torch.channels_last),
    "part of a larger tensor": lambda: torch.zeros(64, 64)[::2, ::2],
    "bfloat16": lambda: torch.zeros(48, 48).bfloat16(),
    "bytes": lambda: torch.zeros(48, 36).byte(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_watch_notices_a_write_to_any_one_row_or_column(layout):
    weight = nn.Parameter(LAYOUTS[layout](), requires_grad=False)
    watch, missed = WeightWatch(), []
    watch.have_changed([weight])

    for axis in (0, 1):
        for place in range(weight.shape[axis]):
            weight.data.select(axis, place).add_(1)
            if not watch.have_changed([weight]):
                missed.append((axis, place))

    assert not missed
    assert not watch.have_changed([weight])


class Scaled(torch.Tensor):
    """A weight that stands for whole numbers times a scale, as quantized ones do."""

    @staticmethod
    def __new__(cls, whole, scale):
        return torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=scale.dtype)

    def __init__(self, whole, scale):
        self.whole, self.scale = whole, scale

    def __tensor_flatten__(self):
        return ["whole", "scale"], None

    @staticmethod
    def __tensor_unflatten__(parts, context, size, stride):
        return Scaled(parts["whole"], parts["scale"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise NotImplementedError


@pytest.mark.parametrize("part", ["whole", "scale"])
def test_the_parts_of_a_quantized_weight_are_watched(part):
    weight = Scaled(torch.zeros(8, 4, dtype=torch.int8), torch.ones(8, 1))
    watch = WeightWatch()
    first = [watch.have_changed([weight]) for _ in range(3)]

    getattr(weight, part).data[5] += 1

    assert first == [True, False, False]
    assert [watch.have_changed([weight]) for _ in range(2)] == [True, False]


def test_a_weight_that_is_not_a_number_does_not_change_by_itself():
    weights = [torch.full((4,), torch.nan)]
    watch = WeightWatch()

    assert [watch.have_changed(weights) for _ in range(3)] == [True, False, False]


def test_a_watch_that_does_not_wait_reads_no_values_of_other_devices():
    layer = nn.Linear(4, 4, device="meta")  # which has no values
    watch = WeightWatch(waits=False)
    first = [watch.have_changed(layer.parameters()) for _ in range(2)]

    with torch.no_grad():
        layer.weight.mul_(2)

    assert first == [True, False]
    assert [watch.have_changed(layer.parameters()) for _ in range(2)] == [True, False]
