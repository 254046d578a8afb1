import copy

import pytest
import torch
from peers import draw_weights, largest_difference, peer_of
from torch import nn

from sam2_hf.model.memory_attention import MemoryAttention, RotaryAttention
from sam2_hf.model.memory_tokens import MemoryTokens
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.position_encoding import rotary_table, rotate, sine_table
from tests.drawn_video import HIDDEN, MEMORY, drawn_video_model
from tests.small_checkpoint import small_config

SAME_SUMS = 1e-5  # numbers of order 1 pass some ten layers, each right to seven digits
PEER_MEMORY = 64  # channels of a memory, which transformers' memory attention takes for granted
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def attention():
    return drawn_video_model().memory_attention


def tokens(objects, *, cells, frames=3, pointer_tokens=4, width=MEMORY):
    """Memories of objects on a grid of so many cells."""
    generator = torch.Generator().manual_seed(0)
    count = frames * cells + pointer_tokens
    content, positions = (torch.randn(objects, count, width, generator=generator) for _ in "cp")
    return MemoryTokens(content, content + positions[:1], pointer_tokens)


def features(count, height=4, width=4, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, HIDDEN, height, width, generator=generator)


def positions(height=4, width=4):
    return sine_table(height, width, HIDDEN, CPU, torch.float32)


def row(memories, index):
    return MemoryTokens(
        memories.content_bkc[[index]], memories.keys_bkc[[index]], memories.num_pointer_tokens
    )


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (6, 2)])
def test_every_object_gets_an_embedding_of_the_grids_shape(attention, height, width):
    memories = tokens(2, cells=height * width)

    found = attention(features(1, height, width), positions(height, width), memories)

    assert found.shape == (2, HIDDEN, height, width)


@torch.no_grad()
def test_objects_that_share_a_frame_get_what_each_gets_alone(attention):
    memories = tokens(3, cells=16)

    together = attention(features(1), positions(), memories)

    for index in range(3):
        alone = attention(features(1), positions(), row(memories, index))
        assert largest_difference(together[[index]], alone) <= SAME_SUMS


@torch.no_grad()
def test_frames_in_a_batch_do_not_see_each_other(attention):
    memories, frames = tokens(2, cells=16), features(2)

    together = attention(frames, positions(), memories)

    for index in range(2):
        alone = attention(frames[[index]], positions(), row(memories, index))
        assert largest_difference(together[[index]], alone) <= SAME_SUMS


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (6, 2)])
def test_a_layer_turns_queries_and_keys_and_leaves_values(generator, height, width):
    layer = RotaryAttention(drawn_video_model().config, MEMORY).eval()
    cells = height * width
    query = torch.randn(1, cells, HIDDEN, generator=generator)
    key, value = torch.randn(2, 1, 2 * cells + 3, MEMORY, generator=generator)
    table = rotary_table(height, width, HIDDEN, 10_000.0, CPU)

    found = layer(query, MemoryTokens(value, key, 3), table)

    keys, values = layer.k_proj(key), layer.v_proj(value)
    turned = torch.cat((rotate(keys[None, :, :-3], table)[0], keys[:, -3:]), dim=1)
    shares = rotate(layer.q_proj(query)[None], table)[0] @ turned.mT / HIDDEN**0.5
    expected = layer.o_proj(shares.softmax(dim=-1) @ values)
    assert largest_difference(found, expected) <= SAME_SUMS


@torch.no_grad()
def test_pointers_have_no_place_on_the_grid(attention):
    """Their order does not matter, while that of cells does."""
    memories = tokens(1, cells=16, pointer_tokens=4)

    def reordered(order):
        parts = (part[:, order] for part in (memories.content_bkc, memories.keys_bkc))
        return attention(features(1), positions(), MemoryTokens(*parts, 4))

    as_they_are = reordered(list(range(52)))
    assert largest_difference(as_they_are, reordered([*range(48), 51, 50, 49, 48])) <= SAME_SUMS
    assert largest_difference(as_they_are, reordered([*range(1, 48), 0, *range(48, 52)])) > 1e-3


@torch.no_grad()
def test_the_order_of_whole_frames_does_not_matter(attention):
    memories = tokens(1, cells=16, frames=2, pointer_tokens=0)
    swapped = MemoryTokens(memories.content_bkc.roll(16, 1), memories.keys_bkc.roll(16, 1), 0)

    found, again = (attention(features(1), positions(), one) for one in (memories, swapped))

    assert largest_difference(found, again) <= SAME_SUMS


@torch.no_grad()
def test_conditioning_changes_none_of_its_inputs(attention):
    memories, frame, places = tokens(2, cells=16), features(1), positions()
    parts = (memories.content_bkc, memories.keys_bkc, frame, places)
    before = [part.clone() for part in parts]

    attention(frame, places, memories)

    assert all(torch.equal(*pair) for pair in zip(parts, before, strict=True))


def test_keys_are_the_same_with_and_without_gradients(generator):
    layer = RotaryAttention(drawn_video_model().config, MEMORY).eval()
    query = torch.randn(1, 16, HIDDEN, generator=generator)
    key = torch.randn(2, 35, MEMORY, generator=generator)
    table = rotary_table(4, 4, HIDDEN, 10_000.0, CPU)

    recorded = layer(query, MemoryTokens(key, key, 3), table)
    with torch.no_grad():
        found = layer(query, MemoryTokens(key, key, 3), table)

    assert recorded.requires_grad
    assert largest_difference(recorded, found) <= SAME_SUMS


@torch.no_grad()
def test_two_heads_agree_with_transformers():
    ours = two_heads()
    theirs = peer_of(ours).memory_attention
    memories = tokens(1, cells=16, width=PEER_MEMORY)
    sequences = [part.flatten(2).permute(2, 0, 1) for part in (features(1), positions())]

    found = ours.memory_attention(features(1), positions(), memories)
    expected = theirs(
        current_vision_features=sequences[0],
        memory=memories.content_bkc.transpose(0, 1),
        current_vision_position_embeddings=sequences[1],
        memory_posision_embeddings=(memories.keys_bkc - memories.content_bkc).transpose(0, 1),
        num_object_pointer_tokens=4,
    )

    flat = found.flatten(2).transpose(1, 2)
    assert largest_difference(flat, expected.reshape(flat.shape)) <= SAME_SUMS


def two_heads():
    config = small_config(
        memory_attention_num_attention_heads=2, memory_encoder_output_channels=PEER_MEMORY
    )
    return draw_weights(Sam2VideoModel(config)).eval()


def test_the_eager_backend_gives_the_same_numbers():
    eager = copy.deepcopy(drawn_video_model())
    eager.set_attn_implementation("eager")
    memories = tokens(2, cells=16)

    with torch.no_grad():
        found = eager.memory_attention(features(1), positions(), memories)
        expected = drawn_video_model().memory_attention(features(1), positions(), memories)

    assert eager.memory_attention.layers[0].self_attn.config._attn_implementation == "eager"
    assert largest_difference(found, expected) <= SAME_SUMS


def test_dropout_works_in_training_only(attention):
    training = copy.deepcopy(attention).train()
    memories = tokens(1, cells=16)

    first, second = (training(features(1), positions(), memories) for _ in range(2))

    assert not torch.equal(first, second)
    assert all(isinstance(layer.dropout, nn.Dropout) for layer in training.layers)


def test_a_gradient_reaches_every_weight_and_every_memory(attention):
    training = copy.deepcopy(attention).train()
    memories = tokens(2, cells=16)
    memories.content_bkc.requires_grad_()

    training(features(1), positions(), memories).square().sum().backward()

    unreached = {name for name, weight in training.named_parameters() if not weight.grad.any()}
    # even biases of keys, which only turned keys make different for the products of a query
    assert unreached == set()
    assert memories.content_bkc.grad.any(dim=-1).all()


def test_checkpointed_layers_give_the_same_gradients():
    model = copy.deepcopy(drawn_video_model())
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.train()
        model.zero_grad()
        torch.manual_seed(0)
        found = model.memory_attention(features(1), positions(), tokens(2, cells=16))
        found.square().sum().backward()
        gradients.append(model.memory_attention.layers[0].linear1.weight.grad.clone())

    assert gradients[0].any()
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_the_base_of_the_wave_lengths_comes_from_the_config():
    config = small_config(rope_parameters={"rope_type": "axial", "rope_theta": 500.0})

    assert MemoryAttention(config).theta == 500.0
    assert MemoryAttention(small_config()).theta == 10_000.0
