import copy

import pytest
import torch
from peers import largest_difference

from sam2_hf.model.outputs import PromptEmbeddings
from sam2_hf.model.prompt_encoder import labels_for_boxes

SAME_SUMS = 1e-6  # tokens are of order 1, and made of one sum each


@pytest.fixture(scope="module")
def encoder(drawn_model):
    return drawn_model.prompt_encoder


def fourier(encoder, points):
    """Encode the center of the pixel that each point names."""
    return encoder.shared_embedding((points + 0.5) / 64)


@torch.no_grad()
@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_a_point_is_its_place_plus_its_kind(encoder, label):
    points = torch.tensor([[[[10.0, 20.0]]]])

    tokens, _ = encoder(points, torch.full((1, 1, 1), label))

    expected = fourier(encoder, points) + encoder.point_embed.weight[label]
    assert largest_difference(tokens[:, :, :1], expected) <= SAME_SUMS


@torch.no_grad()
def test_a_token_that_is_no_point_closes_every_prompt(encoder, clicks, boxes):
    points, labels = clicks["input_points"], clicks["input_labels"]

    answers = [encoder(points, labels), encoder(None, None, boxes), encoder(points, labels, boxes)]

    assert [tokens.shape for tokens, _ in answers] == [
        (2, 3, 3, 32),
        (2, 3, 3, 32),
        (2, 3, 5, 32),
    ]
    closing = encoder.not_a_point_embed.weight[0].expand(2, 3, -1)
    assert all(torch.equal(tokens[:, :, -1], closing) for tokens, _ in answers)


@torch.no_grad()
def test_a_point_labeled_minus_one_has_no_place(encoder):
    points = torch.tensor([[[[10.0, 20.0], [30.0, 40.0]]]])

    tokens, _ = encoder(points, torch.full((1, 1, 2), -1))

    assert torch.equal(tokens[0, 0], encoder.not_a_point_embed.weight.expand(3, -1))


@torch.no_grad()
def test_a_box_is_two_labeled_points(encoder, boxes):
    corners = boxes.unflatten(-1, (2, 2))

    as_box, _ = encoder(None, None, boxes)
    as_points, _ = encoder(corners, torch.tensor([2, 3]).expand(2, 3, 2))

    assert torch.equal(as_box, as_points)


@torch.no_grad()
def test_padding_is_empty_and_marked_for_the_decoder(encoder, clicks):
    labels = clicks["input_labels"].clone()
    labels[0, 1, 1] = -10

    tokens, dense = encoder(clicks["input_points"], labels)

    expected = torch.ones(2, 3, 3, dtype=torch.bool)
    expected[0, 1, 1] = False
    assert torch.equal(PromptEmbeddings.of(tokens, dense).keep_bpt, expected)
    assert torch.equal(tokens[0, 1, 1], torch.zeros(32))


def test_nothing_is_marked_where_nothing_is_padded(encoder, clicks):
    tokens, dense = encoder(clicks["input_points"], clicks["input_labels"])

    assert PromptEmbeddings.of(tokens, dense).keep_bpt is None


def test_a_box_of_minus_tens_is_padding(boxes):
    boxes = boxes.clone()
    boxes[1, 2] = -10
    boxes[0, 0, :2] = -10  # only a corner that lies outside the picture

    labels = labels_for_boxes(boxes)

    expected = torch.tensor([2, 3]).repeat(2, 3, 1)
    expected[1, 2] = -10
    assert torch.equal(labels, expected)


@torch.no_grad()
def test_points_are_encoded_in_float32_in_a_half_precision_model(encoder, clicks):
    half = copy.deepcopy(encoder).bfloat16()

    tokens, _ = half(clicks["input_points"], clicks["input_labels"])

    places = fourier(encoder, clicks["input_points"]).bfloat16()
    kinds = half.point_embed.weight[clicks["input_labels"]]
    assert torch.equal(tokens[:, :, :2], places + kinds)


@torch.no_grad()
def test_without_a_mask_every_cell_gets_the_same_addition(encoder, clicks):
    _, dense = encoder(clicks["input_points"], clicks["input_labels"])

    expected = encoder.no_mask_embed.weight[..., None, None].expand(2, -1, 4, 4)
    assert torch.equal(dense, expected)


@torch.no_grad()
def test_each_object_has_a_mask_of_its_own(encoder, clicks, mask_prompts):
    points, labels = clicks["input_points"], clicks["input_labels"]

    _, dense = encoder(points, labels, None, mask_prompts)

    assert dense.shape == (2 * 3, 32, 4, 4)
    for index in range(3):
        _, alone = encoder(points, labels, None, mask_prompts[:, [index]])
        assert largest_difference(dense[index::3], alone) <= SAME_SUMS


@torch.no_grad()
def test_a_mask_reaches_only_the_cells_it_covers(encoder, clicks, mask_prompts):
    changed = mask_prompts.clone()
    changed[0, 0, 4:8, 8:12] += 3  # row 1, column 2 of the grid of 4 x 4

    before, after = (
        encoder(clicks["input_points"], clicks["input_labels"], None, masks)[1]
        for masks in (mask_prompts, changed)
    )

    moved = (before != after).any(dim=1).nonzero()
    assert moved.tolist() == [[0, 1, 2]]


def test_points_without_labels_are_refused(encoder, clicks):
    with pytest.raises(ValueError, match="points without labels: pass 1"):
        encoder(clicks["input_points"], None)


def test_prompts_without_points_and_boxes_are_refused(encoder, mask_prompts):
    with pytest.raises(ValueError, match="neither points nor boxes"):
        encoder(None, None, None, mask_prompts)
