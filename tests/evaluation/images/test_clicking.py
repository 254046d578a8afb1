"""Clicks on photos, with models whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evaluation.images.clicking import click_object, click_photo
from sam2_hf.data.clip import Clip

SIDE = 24
TRUTHS = np.zeros((3, SIDE, SIDE), bool)
TRUTHS[0, 2:9, 2:9], TRUTHS[1, 10:20, 4:22], TRUTHS[2, 3:6, 12:23] = True, True, True
PHOTO = Clip(np.zeros((1, SIDE, SIDE, 3), np.uint8), TRUTHS[:, None], "photo")


class Model:
    """Answers each object by what it is asked; the input is as large as the photo."""

    def __init__(self, answer):
        self.image_size = SIDE
        self.device = torch.device("cpu")
        self.answer, self.asked = answer, []

    def get_image_embeddings(self, pixels):
        return [pixels]

    def __call__(self, **asked):
        self.asked.append(asked)
        found = []
        for xy in asked["input_points"][0, :, 0]:
            x, y = (int(value) for value in xy)
            number = int(np.flatnonzero(TRUTHS[:, y, x])[0])
            found.append(self.answer(number, asked["input_points"].shape[2]))
        masks = torch.stack([torch.from_numpy(np.stack(masks)) for masks, _ in found])
        scores = torch.tensor([scores for _, scores in found])
        kept = 3 if asked["multimask_output"] else 1
        logits = torch.where(masks, 100.0, -100.0)
        return SimpleNamespace(pred_masks=logits[None, :, :kept], iou_scores=scores[None, :, :kept])


def half(mask_hw):
    """The left half of a mask."""
    columns = np.flatnonzero(mask_hw.any(axis=0))
    return mask_hw & (np.arange(SIDE) < columns[len(columns) // 2])


def test_a_perfect_model_finds_all_at_once():
    model = Model(lambda number, clicks: ([TRUTHS[number]] * 3, [0.1, 0.5, 0.2]))

    assert click_photo(model, PHOTO).tolist() == [[1.0] * 3] * 3


def test_the_mask_of_highest_predicted_iou_counts_not_the_best_one():
    answers = {1: [0.2, 0.9, 0.3]}
    model = Model(
        lambda number, clicks: (
            [TRUTHS[number], half(TRUTHS[number]), TRUTHS[number]],
            answers.get(clicks, [1.0, 0.0, 0.0]),
        )
    )

    ious = click_photo(model, PHOTO, (1, 2))

    expected = [half(one).sum() / one.sum() for one in TRUTHS]
    assert ious[:, 0].tolist() == pytest.approx(expected)
    assert ious[:, 1].tolist() == [1.0] * 3


def test_the_mask_before_is_handed_back_and_the_next_click_goes_into_what_it_misses():
    model = Model(lambda number, clicks: ([half(TRUTHS[number])] * 3, [0.9, 0.1, 0.1]))

    click_photo(model, PHOTO, (1, 3))

    first, second, third = model.asked
    assert [one["multimask_output"] for one in model.asked] == [True, False, False]
    assert first["input_masks"] is None
    assert second["input_masks"].shape == (1, 3, SIDE, SIDE)
    assert second["input_masks"].abs().max() == 32  # whatever the logits are
    for number, points in enumerate(third["input_points"][0].long().tolist()):
        missed = TRUTHS[number] & ~half(TRUTHS[number])
        assert missed[points[1][1], points[1][0]]
    assert third["input_labels"].tolist() == [[[1, 1, 1]] * 3]


def test_what_is_too_much_gets_a_click_beside_the_object():
    too_much = np.ones((SIDE, SIDE), bool)
    model = Model(lambda number, clicks: ([too_much] * 3, [0.9, 0.1, 0.1]))

    click_photo(model, PHOTO, (2,))

    assert model.asked[1]["input_labels"].tolist() == [[[1, 0]] * 3]


def test_one_object_is_found_as_among_all_others():
    model = Model(lambda number, clicks: ([half(TRUTHS[number])] * 3, [0.9, 0.1, 0.1]))

    assert np.array_equal(click_object(model, PHOTO, 1, 3), half(TRUTHS[1]))
