"""Masks as prompts of photos follow the rule of those of videos; earlier answers stay logits."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import ObjectPrompt, PromptError
from sam2_hf.processing.prompt_reading import read_mask
from sam2_hf.processing.prompt_tensors import read_prompts
from sam2_hf.processing.prompts import PromptBatch

SIZE, MODEL_SIZE, SIDE = (48, 72), 256, 64
DRAWN = torch.zeros(SIZE, dtype=torch.bool)
DRAWN[:24, :36] = True
LOW_RES = torch.zeros(SIDE, SIDE, dtype=torch.bool)
LOW_RES[:32, :32] = True


def model_mask(mask):
    batch = PromptBatch.from_prompts([[ObjectPrompt(mask=mask)]], [SIZE], MODEL_SIZE)
    return batch.input_masks[0, 0]


@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask,
        lambda mask: mask.numpy(),
        lambda mask: mask.to(torch.uint8) * 255,
        lambda mask: mask.to(torch.float32),
        lambda mask: torch.where(mask, 0.9, 0.1),
        lambda mask: Image.fromarray(mask.numpy()),
        lambda mask: mask[None, None],
    ],
    ids=["booleans", "array", "bytes", "zeros and ones", "probabilities", "picture", "axes"],
)
@pytest.mark.parametrize("drawn", [DRAWN, LOW_RES], ids=["photo's size", "answer's size"])
def test_a_mask_of_any_kind_is_drawn_as_logits(form, drawn):
    assert torch.equal(model_mask(form(drawn)), torch.where(LOW_RES, 10.0, -10.0))


def test_a_photo_and_a_video_read_a_mask_alike():
    soft = torch.rand(SIZE, generator=torch.Generator().manual_seed(0))

    for given in (soft, soft - 0.5, (soft * 255).to(torch.uint8), soft > 0.7):
        assert torch.equal(model_mask(given) > 0, read_mask(given, SIZE, SIDE, "object 1"))


@pytest.mark.parametrize(("low", "high"), [(-12.0, 9.0), (-30.0, -2.0), (0.5, 31.0), (-0.4, 0.3)])
def test_an_earlier_answer_is_taken_as_it_is(low, high):
    logits = torch.linspace(low, high, SIDE * SIDE).reshape(SIDE, SIDE)

    assert torch.equal(model_mask(logits), logits)
    assert torch.equal(model_mask(logits.numpy()), logits)


@pytest.mark.parametrize("values", [(0.0, 127.3, 255.0), (-0.1, 0.5, 1.1), (0.0, np.nan, 1.0)])
@pytest.mark.parametrize("shape", [SIZE, (SIDE, SIDE)])
def test_a_mask_that_may_mean_two_things_is_refused(values, shape):
    given = np.resize(np.array(values, np.float32), shape)

    with pytest.raises(PromptError, match=r"object 0 of image 0 has .* more than one thing"):
        model_mask(given)


def test_an_answer_that_is_not_finite_is_refused():
    with pytest.raises(PromptError, match="inf"):
        model_mask(torch.where(LOW_RES, torch.inf, -torch.inf))


def test_a_mask_of_a_third_size_is_refused_with_all_sizes():
    with pytest.raises(PromptError, match=r"20 x 30, the picture is 48 x 72 .* or at 64 x 64"):
        model_mask(np.zeros((20, 30), bool))


def test_a_prompt_has_one_mask():
    with pytest.raises(PromptError, match="both mask and mask_logits"):
        ObjectPrompt(mask=DRAWN, mask_logits=torch.zeros(SIDE, SIDE))


@pytest.mark.parametrize("mask", ["mask", np.zeros(5), np.zeros((3, *SIZE)), []])
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(PromptError, match="one map"):
        ObjectPrompt(mask=mask)
    with pytest.raises(PromptError, match="one map"):
        ObjectPrompt(mask_logits=mask)


def checked_input_mask(mask):
    (asked,) = read_prompts({"input_masks": [[mask]]}, 1, -10)
    asked.check(SIZE, MODEL_SIZE, "image 0")
    return asked.masks[0]


@pytest.mark.parametrize("drawn", [LOW_RES, LOW_RES.to(torch.uint8) * 255, LOW_RES.long()])
def test_where_logits_are_wanted_a_drawn_mask_is_refused(drawn):
    with pytest.raises(PromptError, match="the model expects logits"):
        checked_input_mask(drawn)
    with pytest.raises(PromptError, match="the model expects logits"):
        ObjectPrompt(mask_logits=drawn).check(SIZE, MODEL_SIZE, "the object")


def test_where_logits_are_wanted_floats_are_taken_as_they_are():
    for logits in (torch.rand(SIDE, SIDE), torch.zeros(SIDE, SIDE), torch.ones(SIDE, SIDE) * 40):
        assert torch.equal(checked_input_mask(logits), logits)
    whole = np.where(LOW_RES, 10, -10)
    assert torch.equal(checked_input_mask(whole), torch.from_numpy(whole).float())
