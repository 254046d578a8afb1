import pytest
import torch
from peers import draw_weights, largest_difference

from sam2_hf import Sam2MaskDecoderConfig, Sam2Model
from sam2_hf.model import attention
from sam2_hf.model.attention import ImageToTokenAttention, PromptAttention, token_to_image_attention
from sam2_hf.model.configs.configuration_sam2 import with_image_size

SAME_SUMS = 1e-5  # values of order 1, multiplied in another order
LOGIT_TOLERANCE = 1e-4  # the same after four attentions, on logits of order 3


@pytest.fixture
def layers():
    """An attention of 2 heads and 16 channels, which up to 8 tokens are too few for."""
    config = Sam2MaskDecoderConfig(
        hidden_size=32, num_attention_heads=2, attn_implementation="sdpa"
    )
    return draw_weights(PromptAttention(config, downsample_rate=2)).eval()


@pytest.fixture
def calls(monkeypatch):
    """Which of the two ways the attention takes instead of projecting cells."""
    names = []
    monkeypatch.setattr(
        attention,
        "token_to_image_attention",
        lambda *args: names.append("token to image") or token_to_image_attention(*args),
    )
    apply = ImageToTokenAttention.apply
    monkeypatch.setattr(
        ImageToTokenAttention, "apply", lambda *args: names.append("image to token") or apply(*args)
    )
    return names


def draw(generator, *shape):
    return torch.randn(shape, generator=generator)


def plain(layers, *arguments):
    """Project everything, as while gradients are recorded."""
    with torch.enable_grad():
        return layers(*arguments).detach()


@torch.no_grad()
@pytest.mark.parametrize("mask_shape", [None, (6, 1, 5, 40), (6, 1, 1, 40), (1, 1, 1, 40)])
def test_a_few_tokens_find_what_they_find_among_projected_cells(layers, mask_shape, generator):
    tokens, keys, values = (draw(generator, 2, 3, count, 32) for count in (5, 40, 40))
    mask = None if mask_shape is None else draw(generator, *mask_shape)

    found = token_to_image_attention(layers, tokens, keys, values, mask)

    assert largest_difference(found, plain(layers, tokens, keys, values, mask)) <= SAME_SUMS


@torch.no_grad()
@pytest.mark.parametrize("sets", [1, 3], ids=["shared cells", "own cells"])
@pytest.mark.parametrize("padded", [True, False])
def test_cells_find_what_projected_cells_find_among_a_few_tokens(layers, sets, padded, generator):
    cells = draw(generator, 2, sets, 40, 32)
    keys, values = (draw(generator, 2, 3, 5, 32) for _ in range(2))
    mask = torch.zeros(6, 1, 1, 5) if padded else None
    if padded:
        mask[0, ..., 3:], mask[4, ..., 1] = -torch.inf, -torch.inf

    found = ImageToTokenAttention.of(layers, keys, values, mask, sets).apply(cells)

    assert found.shape == (2, 3, 40, 32)
    assert largest_difference(found, plain(layers, cells, keys, values, mask)) <= SAME_SUMS


@torch.no_grad()
def test_the_attention_absorbs_projections_where_tokens_are_few(layers, calls, generator):
    tokens, cells = draw(generator, 2, 3, 8, 32), draw(generator, 2, 3, 40, 32)
    shared = cells[:, :1]

    layers(tokens, cells, cells)
    layers(cells, tokens, tokens)
    layers(shared, tokens, tokens)

    assert calls == ["token to image", "image to token", "image to token"]


@torch.no_grad()
def test_shared_cells_are_projected_once_rather_than_absorbed_for_each_object(
    layers, calls, generator
):
    tokens, shared = draw(generator, 2, 3, 8, 32), draw(generator, 2, 1, 40, 32)

    layers(tokens, shared, shared)

    assert calls == []


@pytest.mark.parametrize(
    "reason", ["gradients", "training", "half", "eager", "many tokens", "switched off"]
)
def test_the_attention_projects_as_it_always_did(layers, calls, reason, generator):
    tokens = draw(generator, 2, 3, 9 if reason == "many tokens" else 8, 32)
    cells = draw(generator, 2, 3, 40, 32)
    dtype = torch.bfloat16 if reason == "half" else torch.float32
    layers.to(dtype).train(reason == "training")
    layers.fast = reason != "switched off"
    if reason == "eager":
        layers.config._attn_implementation = "eager"

    with torch.set_grad_enabled(reason == "gradients"):
        layers(tokens.to(dtype), cells.to(dtype), cells.to(dtype))
        layers(cells.to(dtype), tokens.to(dtype), tokens.to(dtype))

    assert calls == []


@torch.no_grad()
@pytest.mark.parametrize("num_objects", [1, 3])
@pytest.mark.parametrize("mask_shape", [None, (1, 1, 1, 4), "own"])
def test_a_few_cells_are_no_tokens(layers, num_objects, mask_shape, generator):
    """A picture of 32 pixels has four cells, fewer than the tokens that look at them."""
    tokens, shared = draw(generator, 2, num_objects, 9, 32), draw(generator, 2, 1, 4, 32)
    own = (2 * num_objects, 1, 9, 4)
    shape = own if mask_shape == "own" else mask_shape
    mask = None if shape is None else draw(generator, *shape)

    found = layers(tokens, shared, shared, mask)

    assert largest_difference(found, plain(layers, tokens, shared, shared, mask)) <= SAME_SUMS


@pytest.fixture(scope="module", params=[32, 64, 96])
def wide_decoder(request, tiny_config):
    """A tiny model whose decoder absorbs prompts of up to ten tokens, for small pictures."""
    config = with_image_size(tiny_config, request.param)
    config.mask_decoder_config.num_attention_heads = 2
    config.mask_decoder_config.attention_downsample_rate = 1
    return draw_weights(Sam2Model(config)).eval()


@pytest.mark.parametrize("num_points", [1, 12])
@pytest.mark.parametrize("labels", ["clicks", "padded"])
def test_answers_do_not_depend_on_whether_gradients_are_recorded(
    wide_decoder, num_points, labels, generator
):
    size = wide_decoder.image_size
    pictures = draw(generator, 2, 3, size, size)
    points = torch.rand(2, 3, num_points + 1, 2, generator=generator) * size
    kinds = torch.ones(2, 3, num_points + 1, dtype=torch.long)
    kinds[:, 1, 1:] = -10 if labels == "padded" else 0

    recorded = wide_decoder(pictures, input_points=points, input_labels=kinds)
    with torch.no_grad():
        alone = wide_decoder(pictures, input_points=points, input_labels=kinds)

    assert recorded.pred_masks.requires_grad
    assert largest_difference(recorded.pred_masks, alone.pred_masks) <= LOGIT_TOLERANCE
    assert largest_difference(recorded.iou_scores, alone.iou_scores) <= LOGIT_TOLERANCE
