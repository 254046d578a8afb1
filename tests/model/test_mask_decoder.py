import copy

import pytest
import torch
from peers import largest_difference
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sam2_hf import Sam2MaskDecoderConfig
from sam2_hf.model.mask_decoder import MaskDecoder
from sam2_hf.model.outputs import PromptEmbeddings
from sam2_hf.model.two_way_transformer import NO_BIAS

SAME_SUMS = 2e-5  # logits are of order 3; upscaling sums in another order than a convolution


@pytest.fixture(scope="module")
def decoder(drawn_model):
    return drawn_model.mask_decoder


@pytest.fixture(scope="module")
def arguments(drawn_model, embeddings, clicks):
    """What the model hands to its decoder for two clicks on each of three objects."""
    prompts = drawn_model.prompt_encoder(clicks["input_points"], clicks["input_labels"])
    positions = drawn_model.get_image_wide_positional_embeddings()
    named = dict(zip(("sparse_prompt_embeddings", "dense_prompt_embeddings"), prompts, strict=True))
    return named | {
        "image_embeddings": embeddings[-1],
        "image_positional_embeddings": positions,
        "high_resolution_features": embeddings[:-1],
    }


def decoded_tokens(decoder, arguments):
    """The answer before masks are drawn."""
    positions = arguments["image_positional_embeddings"].flatten(2).transpose(1, 2)[:, None]
    prompts = PromptEmbeddings.of(
        arguments["sparse_prompt_embeddings"], arguments["dense_prompt_embeddings"]
    )
    return decoder.decode_tokens(arguments["image_embeddings"], positions, prompts, NO_BIAS)


def all_maps(arguments):
    """Finest first."""
    return [*arguments["high_resolution_features"], arguments["image_embeddings"]]


def naive_masks(decoder, image_bpnc, filters_bpmc, image_embeddings):
    """Upscale with transposed convolutions, one object after the other."""
    fine, coarse, embedding = image_embeddings
    masks = []
    for index in range(image_bpnc.shape[1]):
        maps = image_bpnc[:, index].transpose(1, 2).unflatten(-1, embedding.shape[-2:])
        maps = decoder.upscale_conv1(maps) + coarse
        normed = decoder.upscale_layer_norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        maps = functional.gelu(decoder.upscale_conv2(functional.gelu(normed)) + fine)
        masks.append(torch.einsum("bmc,bchw->bmhw", filters_bpmc[:, index], maps))
    return torch.stack(masks, dim=1)


@torch.no_grad()
@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_drawing_equals_transposed_convolutions(decoder, grid, generator):
    height, width = grid
    shapes = [(2, 4, 4 * height, 4 * width), (2, 8, 2 * height, 2 * width), (2, 32, height, width)]
    maps = [torch.randn(shape, generator=generator) for shape in shapes]
    image = torch.randn(2, 3, height * width, 32, generator=generator)
    filters = torch.randn(2, 3, 5, 4, generator=generator)

    drawn = decoder.draw_filters(image, filters, maps)

    assert drawn.shape == (2, 3, 5, 4 * height, 4 * width)
    assert largest_difference(drawn, naive_masks(decoder, image, filters, maps)) <= SAME_SUMS


@torch.no_grad()
def test_several_masks_are_all_but_the_single_one(decoder, arguments):
    tokens = decoded_tokens(decoder, arguments)
    candidates = decoder.draw(tokens.image_bpnc, tokens.mask_tokens_bpmc, all_maps(arguments))

    decoded = decoder(**arguments, multimask_output=True)

    assert decoded.logits_bpmhw.shape == (2, 3, 3, 16, 16)
    assert torch.equal(decoded.logits_bpmhw, candidates[:, :, 1:])
    assert torch.equal(decoded.iou_bpm, tokens.iou_bpm[:, :, 1:])
    assert torch.equal(decoded.tokens_bpmc, tokens.mask_tokens_bpmc[:, :, 1:])


@torch.no_grad()
@pytest.mark.parametrize("threshold", [0.0, 1.1], ids=["always stable", "never stable"])
def test_one_mask_is_the_single_one_or_the_best_of_the_others(decoder, arguments, threshold):
    decoder = copy.deepcopy(decoder)
    decoder.config.dynamic_multimask_stability_thresh = threshold
    several = decoder(**arguments, multimask_output=True)

    decoded = decoder(**arguments, multimask_output=False)

    tokens = decoded_tokens(decoder, arguments)
    best, place = several.iou_bpm.max(dim=-1, keepdim=True)
    expected = several.logits_bpmhw.take_along_dim(place[..., None, None], dim=2)
    assert decoded.logits_bpmhw.shape == (2, 3, 1, 16, 16)
    assert torch.equal(decoded.logits_bpmhw, expected) == (threshold > 1)
    assert torch.equal(decoded.iou_bpm, best if threshold > 1 else tokens.iou_bpm[:, :, :1])


@torch.no_grad()
def test_pointer_token_is_the_single_masks_whichever_mask_is_chosen(decoder, arguments):
    decoder = copy.deepcopy(decoder)
    decoder.config.dynamic_multimask_stability_thresh = 1.1

    decoded = decoder(**arguments, multimask_output=False)

    tokens = decoded_tokens(decoder, arguments)
    assert torch.equal(decoded.tokens_bpmc, tokens.mask_tokens_bpmc[:, :, :1])


@torch.no_grad()
@pytest.mark.parametrize("reason", ["training", "switched off"])
def test_the_single_mask_never_gives_way(decoder, arguments, reason):
    decoder = copy.deepcopy(decoder)
    decoder.config.dynamic_multimask_stability_thresh = 1.1
    decoder.train(reason == "training")
    decoder.config.dynamic_multimask_via_stability = reason == "training"

    decoded = decoder(**arguments, multimask_output=False)

    tokens = decoded_tokens(decoder, arguments)
    candidates = decoder.draw(tokens.image_bpnc, tokens.mask_tokens_bpmc, all_maps(arguments))
    assert torch.equal(decoded.logits_bpmhw, candidates[:, :, :1])
    assert torch.equal(decoded.iou_bpm, tokens.iou_bpm[:, :, :1])


@torch.no_grad()
def test_quality_is_a_probability_and_comes_without_drawing(decoder, arguments, monkeypatch):
    monkeypatch.setattr(decoder, "draw_filters", None)

    tokens = decoded_tokens(decoder, arguments)

    assert tokens.iou_bpm.shape == (2, 3, 4)
    assert 0 < tokens.iou_bpm.min() < tokens.iou_bpm.max() < 1
    assert tokens.score_bp1.shape == (2, 3, 1)


@torch.no_grad()
def test_one_addition_to_the_image_serves_all_objects(decoder, arguments, generator):
    dense = torch.randn(2, 32, 4, 4, generator=generator)

    shared, copied = (
        decoder(**arguments | {"dense_prompt_embeddings": each}, multimask_output=True).logits_bpmhw
        for each in (dense, dense.repeat_interleave(3, dim=0))
    )

    assert largest_difference(shared, copied) <= SAME_SUMS


class FlopCount(TorchDispatchMode):
    """Count operations as `FlopCounterMode` does, but without its hooks on all modules."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=found)
        return found


def decoder_flops(num_objects, backend):
    """Count the work of decoding one click on each of some objects of a 1024-pixel picture."""
    with torch.device("meta"):
        decoder = MaskDecoder(Sam2MaskDecoderConfig(attn_implementation=backend)).eval()
        shapes = [(1, 32, 256, 256), (1, 64, 128, 128), (1, 256, 64, 64)]
        embeddings = [torch.empty(shape) for shape in shapes]
        tokens, dense = torch.empty(1, num_objects, 2, 256), torch.empty(1, 256, 64, 64)
        positions = torch.empty(1, 256, 64, 64)
    with torch.no_grad(), FlopCount() as count:
        decoder(embeddings[-1], positions, tokens, dense, True, embeddings[:-1])
    return count.total


def test_what_objects_share_is_projected_once():
    """Image keys, values and queries of the first layer are the same for every object."""
    shared = 3 * 2 * 64**2 * 256 * 128

    one, many = (decoder_flops(count, "eager") for count in (1, 64))

    assert many == 64 * (one - shared) + shared


def test_a_click_takes_less_work_where_projections_of_cells_are_absorbed():
    assert decoder_flops(64, "sdpa") < 0.75 * decoder_flops(64, "eager")
