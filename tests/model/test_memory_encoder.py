import copy

import pytest
import torch
from peers import draw_weights, largest_difference, peer_of

from sam2_hf.model import memory_encoder
from sam2_hf.model.kernels import cpu_kernels
from sam2_hf.model.kernels.cpu_kernels import has_fused_product
from sam2_hf.model.memory_encoder import FuserBlock, MemoryEncoder
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from tests.drawn_video import HIDDEN, MEMORY, drawn_video_model
from tests.small_checkpoint import small_config

SAME_SUMS = 1e-5  # numbers of order 1 pass some ten layers, each right to seven digits


@pytest.fixture(scope="module")
def encoder():
    return drawn_video_model().memory_encoder


def features(count, height=4, width=4):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, HIDDEN, height, width, generator=generator)


def masks(count, height=64, width=64):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, height, width, generator=generator) * 20 - 10


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (1, 2)])
def test_a_frame_and_a_mask_become_a_memory_of_the_frames_grid(encoder, height, width):
    memory = encoder(features(1, height, width), masks(2, 16 * height, 16 * width))

    assert memory.shape == (2, MEMORY, height, width)


@torch.no_grad()
def test_objects_that_share_a_frame_get_what_each_gets_alone(encoder):
    together = encoder(features(1), masks(3))

    alone = [encoder(features(1), mask[None]) for mask in masks(3)]
    assert largest_difference(together, torch.cat(alone)) <= SAME_SUMS


@torch.no_grad()
def test_frames_in_a_batch_do_not_see_each_other(encoder):
    together = encoder(features(2), masks(2))

    pairs = zip(features(2), masks(2), strict=True)
    alone = [encoder(frame[None], mask[None]) for frame, mask in pairs]
    assert largest_difference(together, torch.cat(alone)) <= SAME_SUMS


@torch.no_grad()
def test_a_mask_is_remembered_where_it_is(encoder):
    frame, mask = features(1, 10, 10), torch.full((1, 1, 160, 160), -10.0)
    before = encoder(frame, mask)

    mask[..., 144:, 144:] = 10.0
    changed = (encoder(frame, mask) - before).abs().amax(dim=1)[0] > 1e-3

    assert changed[9, 9]
    assert not changed[0, 0]  # farther away than two blocks of 7 x 7 cells reach


@torch.no_grad()
def test_memories_equal_those_of_transformers():
    """It takes 64 memory channels for granted, so ours has as many here."""
    ours = draw_weights(Sam2VideoModel(small_config(memory_encoder_output_channels=64))).eval()

    found = ours.memory_encoder(features(2), masks(2))
    expected, _ = peer_of(ours).memory_encoder(features(2), masks(2))

    assert largest_difference(found, expected) <= SAME_SUMS


def test_a_gradient_reaches_every_weight(encoder):
    training = copy.deepcopy(encoder).train()
    frame, mask = features(1).requires_grad_(), masks(2).requires_grad_()

    training(frame, mask).square().sum().backward()

    assert all(weight.grad.any() for weight in training.parameters())
    assert frame.grad.any()
    assert mask.grad.flatten(1).any(dim=1).all()


def test_fuser_blocks_begin_as_almost_nothing():
    config = small_config(memory_fuser_layer_scale_init_value=0.0)
    block = FuserBlock(config)

    assert torch.equal(block(features(1)), features(1))
    assert torch.equal(FuserBlock(small_config()).scale, torch.full((HIDDEN,), 1e-6))


def test_the_number_of_halvings_follows_the_config():
    config = small_config(mask_downsampler_total_stride=4)

    shrunk = MemoryEncoder(config).mask_downsampler(masks(1))

    assert shrunk.shape == (1, HIDDEN, 16, 16)


@torch.no_grad()
@pytest.mark.skipif(not has_fused_product(torch.zeros(1)), reason="oneDNN is missing")
def test_fused_products_give_the_memories_of_the_plain_layers(encoder, monkeypatch, small_steps):
    seen = []
    monkeypatch.setattr(
        memory_encoder,
        "linear",
        lambda *args: seen.append(args[1].shape) or cpu_kernels.linear(*args),
    )

    fused = encoder(features(1), masks(3))

    monkeypatch.setattr(FuserBlock, "fast", False)
    plain = encoder(features(1), masks(3))
    num_blocks = len(encoder.memory_fuser.layers)
    assert [shape[:3] for shape in seen] == [(1, 4, 4)] * (3 * 2 * num_blocks)  # object by object
    assert largest_difference(fused, plain) <= SAME_SUMS * plain.abs().max()


@torch.no_grad()
def test_half_precision_is_close(encoder):
    half = copy.deepcopy(encoder).bfloat16()

    memory = half(features(1).bfloat16(), masks(2).bfloat16())

    assert memory.dtype == torch.bfloat16
    expected = encoder(features(1), masks(2))
    assert (memory.float() - expected).norm() < 0.02 * expected.norm()
