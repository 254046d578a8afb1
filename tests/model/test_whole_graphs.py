"""The image model, and its parts by transformers' keywords, as one graph."""

import copy

import pytest
import torch
from peers import largest_difference
from torch._dynamo.testing import CompileCounter
from torch.export import Dim

from sam2_hf import Sam2Model

SAME_SUMS = 1e-4  # logits are of order 10; attention with a mask sums in another order
PADDED = torch.tensor([[[1, 0], [1, -10], [-10, -10]], [[1, -10], [0, 1], [1, 1]]])


def points_and(labels, pictures):
    generator = torch.Generator().manual_seed(5)
    points = torch.rand(*labels.shape, 2, generator=generator) * 64
    return {"pixel_values": pictures, "input_points": points, "input_labels": labels}


def clicks_on(embeddings, count):
    generator = torch.Generator().manual_seed(6)
    return {
        "image_embeddings": embeddings,
        "input_points": torch.rand(1, 1, count, 2, generator=generator) * 256,
        "input_labels": torch.ones(1, 1, count, dtype=torch.long),
    }


def eager(model, inputs):
    with torch.no_grad():
        return model(**inputs)


def test_the_whole_model_compiles_as_one_graph_with_and_without_padding(own_model, pictures):
    torch.compiler.reset()
    counter = CompileCounter()
    compiled = torch.compile(own_model, backend=counter, fullgraph=True)

    for labels in (PADDED, torch.ones_like(PADDED)):
        inputs = points_and(labels, pictures)
        expected = eager(own_model, inputs)
        with torch.no_grad():
            found = compiled(**inputs)
        assert largest_difference(found.pred_masks, expected.pred_masks) <= SAME_SUMS
        assert largest_difference(found.iou_scores, expected.iou_scores) <= SAME_SUMS
    assert counter.frame_count == 1


@pytest.mark.parametrize("prompt", ["points", "boxes", "masks", "nothing"])
def test_the_model_is_exported_with_every_kind_of_prompt(
    own_model, embeddings, clicks, boxes, mask_prompts, prompt
):
    given = {
        "points": clicks,
        "boxes": {"input_boxes": boxes},
        "masks": {"input_masks": mask_prompts, "input_boxes": boxes},
        "nothing": {},
    }[prompt]
    inputs = {"image_embeddings": embeddings, **given}
    expected = eager(own_model, inputs)

    program = torch.export.export(own_model, (), inputs)

    found = program.module()(**inputs)
    assert largest_difference(found.pred_masks, expected.pred_masks) <= SAME_SUMS


def test_an_exported_model_takes_any_number_of_images_objects_and_points(own_model, pictures):
    images, objects, points = (Dim(name, min=2, max=16) for name in ("images", "objects", "points"))
    shapes = {
        "pixel_values": {0: images},
        "input_points": {0: images, 1: objects, 2: points},
        "input_labels": {0: images, 1: objects, 2: points},
    }
    first = points_and(torch.ones(2, 2, 3, dtype=torch.long), pictures)

    program = torch.export.export(own_model, (), first, dynamic_shapes=shapes)

    labels = torch.ones(3, 4, 5, dtype=torch.long)
    labels[1, 2, 3:] = -10
    labels[0, 0] = -10
    other = points_and(labels, torch.randn(3, 3, 64, 64))
    expected, found = eager(own_model, other), program.module()(**other)
    assert largest_difference(found.pred_masks, expected.pred_masks) <= SAME_SUMS
    assert largest_difference(found.iou_scores, expected.iou_scores) <= SAME_SUMS


def test_an_exported_decoder_takes_more_points_than_pay_for_the_faster_order_of_products():
    model = Sam2Model.from_pretrained("sam2-hiera-micro")
    with torch.no_grad():
        embeddings = model.get_image_embeddings(torch.zeros(1, 3, 256, 256))
    first = clicks_on(embeddings, count=3)
    number = {2: Dim("points", min=2, max=64)}
    shapes = {"image_embeddings": [{}] * 3, "input_points": number, "input_labels": number}

    program = torch.export.export(model, (), first, dynamic_shapes=shapes)

    other = clicks_on(embeddings, count=40)
    expected, found = eager(model, other), program.module()(**other)
    assert largest_difference(found.pred_masks, expected.pred_masks) <= SAME_SUMS


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
def test_the_parts_by_transformers_keywords_answer_as_the_model_does(
    own_model, pictures, multimask
):
    inputs = points_and(PADDED, pictures)
    maps = own_model.get_image_embeddings(pictures)

    tokens, dense = own_model.prompt_encoder(
        input_points=inputs["input_points"],
        input_labels=inputs["input_labels"],
        input_boxes=None,
        input_masks=None,
    )
    positions = own_model.get_image_wide_positional_embeddings()
    masks, iou, _, score = own_model.mask_decoder(
        image_embeddings=maps[-1],
        image_positional_embeddings=positions.repeat(2, 1, 1, 1),
        sparse_prompt_embeddings=tokens,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        high_resolution_features=maps[:-1],
        attention_similarity=None,
        target_embedding=None,
    )

    expected = own_model(**inputs, multimask_output=multimask)
    is_real = (PADDED != -10).any(dim=-1)
    assert torch.equal(masks[is_real], expected.pred_masks[is_real])
    assert torch.equal(iou[is_real], expected.iou_scores[is_real])
    assert torch.equal(score[is_real], expected.object_score_logits[is_real])


@torch.no_grad()
def test_the_parts_give_what_those_of_transformers_give(
    drawn_model, peer_model, embeddings, clicks, mask_prompts
):
    asked = {**clicks, "input_boxes": None, "input_masks": None}
    ours, theirs = (model.prompt_encoder(**asked) for model in (drawn_model, peer_model))
    assert ours[0].shape == theirs[0].shape
    assert ours[1].shape == theirs[1].shape

    options = {
        "image_embeddings": embeddings[-1],
        "image_positional_embeddings": peer_model.get_image_wide_positional_embeddings().repeat(
            2, 1, 1, 1
        ),
        "sparse_prompt_embeddings": theirs[0],
        "dense_prompt_embeddings": theirs[1],
        "multimask_output": True,
        "high_resolution_features": embeddings[:-1],
    }
    found = [model.mask_decoder(**copy.copy(options)) for model in (drawn_model, peer_model)]
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        assert largest_difference(one, other) <= SAME_SUMS


def test_sizes_and_settings_have_transformers_names(drawn_model, peer_model):
    for name in ("image_embedding_size", "mask_input_size", "input_image_size", "hidden_size"):
        ours, theirs = (getattr(m.prompt_encoder, name) for m in (drawn_model, peer_model))
        assert ours == theirs
    for name in (
        *("hidden_size", "num_multimask_outputs", "num_mask_tokens"),
        *("dynamic_multimask_via_stability", "dynamic_multimask_stability_delta"),
        "dynamic_multimask_stability_thresh",
    ):
        ours, theirs = (getattr(m.mask_decoder, name) for m in (drawn_model, peer_model))
        assert ours == theirs
    for name in ("num_feature_levels", "backbone_feature_sizes", "hidden_dim"):
        assert getattr(drawn_model, name) == getattr(peer_model, name)


@torch.no_grad()
def test_a_setting_of_the_decoder_counts(own_model, pictures, clicks):
    decoder = own_model.mask_decoder
    decoder.dynamic_multimask_stability_thresh = 1.0
    decoder.dynamic_multimask_stability_delta = 5.0
    best = own_model(pictures, **clicks, multimask_output=False).pred_masks

    decoder.dynamic_multimask_via_stability = False

    single = own_model(pictures, **clicks, multimask_output=False).pred_masks
    assert not torch.equal(single, best)
