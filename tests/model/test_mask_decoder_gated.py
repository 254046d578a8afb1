import copy

import pytest
import torch

SAME_SUMS = 2e-5  # logits are of order 3; fewer prompts at once sum in another order
MANY = 11  # more prompts than are drawn at once, and no multiple of it


@pytest.fixture(scope="module")
def embedding(embeddings):
    """The first picture alone."""
    return [level[:1] for level in embeddings]


@pytest.fixture(scope="module")
def prompts():
    points = torch.rand(1, MANY, 1, 2, generator=torch.Generator().manual_seed(5)) * 64
    return {"input_points": points, "input_labels": torch.ones(1, MANY, 1, dtype=torch.long)}


def filtered_forward(model, embedding, prompts, *, multimask, min_iou):
    """Draw everything, and throw away what does not pass."""
    with torch.no_grad():
        answer = model(image_embeddings=embedding, multimask_output=multimask, **prompts)
    scores = answer.iou_scores[0]
    keep = scores > min_iou if min_iou > 0 else torch.ones_like(scores, dtype=torch.bool)
    return answer.pred_masks[0][keep], scores[keep], keep.nonzero()[:, 0]


def median_iou(model, embedding, prompts, *, multimask):
    with torch.no_grad():
        answer = model(image_embeddings=embedding, multimask_output=multimask, **prompts)
    return answer.iou_scores.median().item()


def assert_same(gated, expected):
    logits, scores, prompt = expected
    torch.testing.assert_close(gated.logits_mhw, logits, atol=SAME_SUMS, rtol=0)
    torch.testing.assert_close(gated.iou_m, scores, atol=SAME_SUMS, rtol=0)
    assert torch.equal(gated.prompt_m, prompt)


@pytest.mark.parametrize("multimask", [True, False])
def test_a_gate_keeps_what_filtering_afterwards_would_keep(
    drawn_model, embedding, prompts, multimask
):
    min_iou = median_iou(drawn_model, embedding, prompts, multimask=multimask)

    gated = drawn_model.decode_gated(
        embedding, **prompts, multimask_output=multimask, min_iou=min_iou
    )

    expected = filtered_forward(
        drawn_model, embedding, prompts, multimask=multimask, min_iou=min_iou
    )
    assert 0 < len(gated.iou_m) < MANY * (3 if multimask else 1)
    assert_same(gated, expected)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("min_iou", [0.0, -1.0])
def test_an_open_gate_keeps_every_mask(drawn_model, embedding, prompts, multimask, min_iou):
    gated = drawn_model.decode_gated(
        embedding, **prompts, multimask_output=multimask, min_iou=min_iou
    )

    expected = filtered_forward(drawn_model, embedding, prompts, multimask=multimask, min_iou=0)
    assert len(gated.iou_m) == MANY * (3 if multimask else 1)
    assert_same(gated, expected)


@pytest.mark.parametrize("multimask", [True, False])
def test_a_gate_that_nothing_passes_gives_empty_tensors(drawn_model, embedding, prompts, multimask):
    gated = drawn_model.decode_gated(embedding, **prompts, multimask_output=multimask, min_iou=1.0)

    assert gated.logits_mhw.shape == (0, 16, 16)
    assert gated.iou_m.shape == gated.prompt_m.shape == (0,)
    assert gated.logits_mhw.dtype == gated.iou_m.dtype == torch.float32
    assert gated.prompt_m.dtype == torch.int64


@pytest.mark.parametrize("threshold", [0.0, 1.1], ids=["always stable", "never stable"])
def test_the_single_mask_falls_back_as_without_a_gate(drawn_model, embedding, prompts, threshold):
    model = copy.deepcopy(drawn_model)
    model.mask_decoder.config.dynamic_multimask_stability_thresh = threshold
    min_iou = median_iou(model, embedding, prompts, multimask=False)

    gated = model.decode_gated(embedding, **prompts, multimask_output=False, min_iou=min_iou)

    expected = filtered_forward(model, embedding, prompts, multimask=False, min_iou=min_iou)
    assert 0 < len(gated.iou_m) < MANY
    assert_same(gated, expected)


def test_the_single_mask_without_fallback_is_the_first_candidate(drawn_model, embedding, prompts):
    model = copy.deepcopy(drawn_model)
    model.mask_decoder.config.dynamic_multimask_via_stability = False

    gated = model.decode_gated(embedding, **prompts, multimask_output=False, min_iou=0.0)

    assert_same(gated, filtered_forward(model, embedding, prompts, multimask=False, min_iou=0))


def test_each_prompt_may_bring_a_mask(drawn_model, embedding, prompts, generator):
    masks = {"input_masks": torch.randn(1, MANY, 16, 16, generator=generator) * 5}
    with_masks = prompts | masks
    min_iou = median_iou(drawn_model, embedding, with_masks, multimask=True)

    gated = drawn_model.decode_gated(
        embedding, **with_masks, multimask_output=True, min_iou=min_iou
    )

    expected = filtered_forward(drawn_model, embedding, with_masks, multimask=True, min_iou=min_iou)
    assert_same(gated, expected)


def test_prompts_without_a_passing_mask_are_not_drawn(drawn_model, embedding, prompts, monkeypatch):
    drawn = []
    draw = drawn_model.mask_decoder.draw_filters
    monkeypatch.setattr(
        drawn_model.mask_decoder,
        "draw_filters",
        lambda image, *rest: drawn.append(image.shape[1]) or draw(image, *rest),
    )
    min_iou = median_iou(drawn_model, embedding, prompts, multimask=False)
    drawn.clear()

    gated = drawn_model.decode_gated(embedding, **prompts, multimask_output=True, min_iou=min_iou)

    assert sum(drawn) == len(gated.prompt_m.unique()) < MANY
