import copy

import pytest
import torch
from peers import largest_difference

from sam2_hf.model.two_way_transformer import AttentionBias, TwoWayBlock, padding_mask

SAME_SUMS = 1e-5  # tokens are normalized, so of order 1


@pytest.fixture(scope="module")
def transformer(drawn_model):
    return drawn_model.mask_decoder.transformer


@pytest.fixture
def tokens(generator):
    """Tokens (2 pictures, 3 objects, 5 tokens), image tokens and their positions."""
    shapes = [(2, 3, 5, 32), (2, 1, 16, 32), (1, 1, 16, 32)]
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


@torch.inference_mode()
@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize(
    "place",
    [
        "layers.0",
        "layers.0.layer_norm4",
        "layers.0.cross_attn_token_to_image",
        "layers.1.cross_attn_token_to_image",
        "layers.1.cross_attn_token_to_image.k_proj",
    ],
)
def test_what_a_hook_keeps_is_not_overwritten(micro_model, objects, place, monkeypatch):
    """In bands, a block reuses the memory of its inputs where nobody else can have them."""
    model = copy.deepcopy(micro_model)
    model.fast = True
    transformer = model.mask_decoder.transformer
    given = {
        "pixel_values": torch.randn(1, 3, model.image_size, model.image_size),
        "input_points": torch.rand(1, objects, 1, 2) * model.image_size,
    }
    in_bands = []
    work = TwoWayBlock._image_to_token_in_bands
    monkeypatch.setattr(
        TwoWayBlock,
        "_image_to_token_in_bands",
        lambda block, *tensors: in_bands.append(block) or work(block, *tensors),
    )
    expected = model(**given).pred_masks
    assert in_bands == list(transformer.layers)
    kept = []

    def keep(module, inputs, outputs):
        for tensor in (*inputs, *(outputs if isinstance(outputs, tuple) else (outputs,))):
            if isinstance(tensor, torch.Tensor):
                kept.append((tensor, tensor.clone()))

    transformer.get_submodule(place).register_forward_hook(keep)
    torch.testing.assert_close(model(**given).pred_masks, expected, rtol=1e-3, atol=1e-3)

    assert kept
    assert all(torch.equal(tensor, before) for tensor, before in kept)


def test_padding_mask_forbids_padding_and_nothing_else():
    keep = torch.tensor([[[True, False]], [[True, True]]])

    mask = padding_mask(keep, 2, torch.float32)

    assert mask.shape == (2, 1, 1, 4)
    assert mask[0, 0, 0].tolist() == [0, 0, 0, -torch.inf]
    assert mask[1, 0, 0].tolist() == [0, 0, 0, 0]


@torch.no_grad()
def test_every_object_gets_image_tokens_of_its_own(transformer, tokens):
    out_tokens, out_image = transformer(*tokens)

    assert out_tokens.shape == (2, 3, 5, 32)
    assert out_image.shape == (2, 3, 16, 32)


@torch.no_grad()
def test_shared_image_tokens_do_as_well_as_copies(transformer, tokens):
    prompt, image, positions = tokens

    shared = transformer(prompt, image, positions)
    copied = transformer(prompt, image.repeat(1, 3, 1, 1), positions)

    for one, other in zip(shared, copied, strict=True):
        assert largest_difference(one, other) <= SAME_SUMS


@torch.no_grad()
def test_objects_do_not_see_each_other(transformer, tokens):
    prompt, image, positions = tokens

    together = transformer(*tokens)

    for index in range(3):
        alone = transformer(prompt[:, [index]], image, positions)
        for one, other in zip(together, alone, strict=True):
            assert largest_difference(one[:, [index]], other) <= SAME_SUMS


@torch.no_grad()
def test_a_padding_token_has_no_influence_on_the_others(transformer, tokens, generator):
    prompt, image, positions = tokens
    stray = torch.randn(2, 3, 1, 32, generator=generator) * 100
    keep = torch.ones(2, 3, 6, dtype=torch.bool)
    keep[..., 5] = False

    hints = AttentionBias(padding=padding_mask(keep, 0, torch.float32))
    padded_tokens, padded_image = transformer(
        torch.cat((prompt, stray), dim=2), image, positions, hints
    )

    plain_tokens, plain_image = transformer(*tokens)
    assert largest_difference(padded_tokens[:, :, :5], plain_tokens) <= SAME_SUMS
    assert largest_difference(padded_image, plain_image) <= SAME_SUMS


@torch.no_grad()
def test_a_similarity_of_minus_infinity_hides_image_tokens(transformer, tokens):
    prompt, image, positions = tokens
    similarity = torch.zeros(6, 1, 5, 16)
    similarity[..., 8:] = -torch.inf
    changed = image.clone()
    changed[:, :, 8:] += 1
    layer = transformer.layers[0]
    hints = AttentionBias(similarity=similarity)

    before, after = (
        layer(prompt, each, each + positions, prompt, positions, hints)[0]
        for each in (image, changed)
    )

    assert torch.equal(before, after)
    without = layer(prompt, changed, changed + positions, prompt, positions)[0]
    assert not torch.equal(without, after)


def test_what_the_image_tokens_found_is_handed_out_for_the_record(transformer, tokens):
    prompt, image, positions = tokens
    layer = transformer.layers[0]

    _, out_image, found, placed = layer(prompt, image, image + positions, prompt, positions)

    assert torch.equal(placed, out_image + positions)
    assert found.shape == (6, 1, 16, 32)
    expected = layer.layer_norm4(image + found.unflatten(0, (2, 3))[:, :, 0])
    assert largest_difference(out_image, expected) <= SAME_SUMS


@torch.no_grad()
def test_the_first_layer_looks_at_tokens_without_adding_their_positions(transformer, tokens):
    prompt, image, positions = tokens
    first, second = transformer.layers
    elsewhere = prompt + 1

    seen = []
    for layer in (first, second):
        hook = layer.self_attn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        layer(prompt, image, image + positions, elsewhere, positions)
        hook.remove()

    assert torch.equal(seen[0], prompt)
    assert torch.equal(seen[1], prompt + elsewhere)
