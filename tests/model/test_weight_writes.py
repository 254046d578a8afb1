"""Whatever is derived from weights follows them, however they were written."""

import copy

import pytest
import torch
from peers import largest_difference
from torch import nn

from sam2_hf import Sam2VideoModel
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.kernels.cpu_kernels import has_fused_product
from sam2_hf.model.memory_attention import AttentionKernel, select_attention_kernel
from sam2_hf.model.memory_tokens import MemoryTokens
from sam2_hf.model.position_encoding import rotary_table
from tests.drawn_video import every_answer, own_video_model

SAME = 2e-4  # of the largest value: random weights amplify another order of summation
GROUP = 15  # weights that are written before the answers are compared
LARGE_GRID = (32, 32)  # of a picture of 512 pixels: tiles are taken from 1,024 cells on
MERGED = (
    "vision_encoder.backbone.pos_embed",
    "vision_encoder.backbone.pos_embed_window",
    "vision_encoder.neck.convs.3.weight",
    "mask_decoder.conv_s0.bias",
    "memory_attention.layers.0.cross_attn_image.v_proj.weight",
    "memory_attention.layers.0.cross_attn_image.o_proj.bias",
)


def scale_data(model, name):
    model.get_parameter(name).data.mul_(3.0).add_(0.2)


def write_one_value(model, name):
    model.get_parameter(name).data.flatten()[2] += 3.0


def set_data(model, name):
    model.get_parameter(name).data = model.get_parameter(name).detach() * 3.0 + 0.2


def put_another_parameter(model, name):
    parent, _, child = name.rpartition(".")
    weight = nn.Parameter(model.get_parameter(name).detach() * 3.0 + 0.2)
    setattr(model.get_submodule(parent), child, weight)


def load_and_assign(model, name):
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    weights[name] = weights[name] * 3.0 + 0.2
    model.load_state_dict(weights, assign=True)


def write_through_memory(model, name):
    model.get_parameter(name).detach().numpy()[...] *= 3.0


WRITES = (
    scale_data,
    write_one_value,
    set_data,
    put_another_parameter,
    load_and_assign,
    write_through_memory,
)


def alike(found, expected):
    return all(
        largest_difference(*pair) <= SAME * pair[1].abs().max().item()
        for pair in zip(found, expected, strict=True)
    )


def plainly(model, work):
    model.fast = False
    try:
        return work(model)
    finally:
        model.fast = True


@torch.no_grad()
@pytest.mark.parametrize("name", MERGED)
@pytest.mark.parametrize("write", WRITES, ids=lambda one: one.__name__)
def test_what_was_merged_follows_every_kind_of_write(write, name, small_steps):
    model = own_video_model()
    before = every_answer(model)

    write(model, name)

    found = every_answer(model)
    assert alike(found, every_answer(copy.deepcopy(model)))  # a copy has merged nothing yet
    assert not all(torch.equal(*pair) for pair in zip(found, before, strict=True))


@torch.no_grad()
def test_each_weight_that_is_written_in_turn_is_read_by_every_way(small_steps):
    model = own_video_model()
    every_answer(model)
    weights = list(model.named_parameters())

    for start in range(0, len(weights), GROUP):
        group = weights[start : start + GROUP]
        for _, weight in group:
            weight.data.mul_(1.1).add_(0.01)
        # nothing makes up for a write that went unnoticed: a few of them can be looked for at once
        assert alike(every_answer(model), plainly(model, every_answer)), [name for name, _ in group]


@pytest.fixture(scope="module")
def large_model():
    """The bundled architecture at 512 pixels, its weights as they are drawn."""
    config = Sam2VideoModel.config_class.from_pretrained("sam2-hiera-micro")
    return Sam2VideoModel(with_image_size(config, 512)).eval()


@torch.no_grad()
def test_each_weight_of_memory_attention_is_read_on_a_large_grid(large_model):
    generator = torch.Generator().manual_seed(0)
    cells = LARGE_GRID[0] * LARGE_GRID[1]
    attention = large_model.memory_attention.layers[0].cross_attn_image
    query = torch.randn(1, cells, 128, generator=generator)
    memories = torch.randn(1, cells, 64, generator=generator)
    tokens = MemoryTokens(memories, memories, 0)
    table = rotary_table(*LARGE_GRID, 128, 10_000.0, torch.device("cpu"))

    def attend(layer):
        return [layer(query, tokens, table)]

    def attend_plainly(layer):
        layer.fast = False
        found = attend(layer)
        layer.fast = True
        return found

    kernel = select_attention_kernel(attention, query, tokens)
    assert not has_fused_product(query) or kernel is AttentionKernel.CPU_TILES
    attend(attention)
    for name, weight in attention.named_parameters():
        weight.data.mul_(1.5).add_(0.1)
        assert alike(attend(attention), attend_plainly(attention)), name


def test_frozen_weights_are_fast_although_gradients_are_recorded(own_model, pictures):
    block = own_model.vision_encoder.backbone.blocks[0]
    tokens = torch.zeros(1, 16, 16, 16)

    learning = block.may_be_fast(tokens)
    own_model.requires_grad_(False)
    frozen = block.may_be_fast(tokens)
    asked = block.may_be_fast(tokens.clone().requires_grad_())

    assert (learning, frozen, asked) == (False, True, False)


def test_pictures_and_prompts_of_a_frozen_model_get_gradients(
    own_model, pictures, clicks, small_steps
):
    own_model.requires_grad_(False)
    picture = pictures.clone().requires_grad_()
    target = torch.zeros(2, 1, 1, 32, requires_grad=True)

    own_model(picture, target_embedding=target, **clicks).pred_masks.square().mean().backward()

    assert picture.grad.any()
    assert target.grad.any()


def test_a_prompt_alone_gets_gradients_on_an_encoded_picture(
    own_model, embeddings, clicks, small_steps
):
    own_model.requires_grad_(False)
    target = torch.zeros(2, 1, 1, 32, requires_grad=True)

    answer = own_model(image_embeddings=list(embeddings), target_embedding=target, **clicks)
    answer.pred_masks.square().mean().backward()

    assert target.grad.any()


def test_the_answers_of_a_learning_model_can_be_differentiated(own_model, pictures, clicks):
    own_model(pictures, **clicks).pred_masks.square().mean().backward()

    assert own_model.mask_decoder.conv_s0.weight.grad.any()
    assert own_model.mask_decoder.upscale_conv1.weight.grad.any()
