import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from sam2_hf.errors import PromptError
from sam2_hf.masks import clean_masks, resize_masks, suppress_overlaps
from sam2_hf.processing.mask_post_processing import MaskOptions, finish_masks, read_sizes

SIZES = [(20, 30), (31, 12)]
PEAK_OF_MANY_MASKS = """
import json, resource, torch
from sam2_hf.processing.mask_post_processing import MaskOptions, finish_masks

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

shares = {}
logits = torch.randn(40, 1, 64, 64, generator=torch.Generator().manual_seed(0))
finish_masks([logits[:2]], [(1500, 2000)], None, MaskOptions(binarize=False))  # fixed costs
for name, options in (
    ("masks", {}),
    ("masks kept apart", {"apply_non_overlapping_constraints": True}),
    ("logits", {"binarize": False}),
):
    before = peak()
    result = finish_masks([logits], [(1500, 2000)], None, MaskOptions(**options))[0]
    shares[name] = (peak() - before) / result.nbytes
    del result
print(json.dumps(shares))
"""
LOGITS = torch.randn(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))


def finish(masks, sizes=SIZES, num_objects=None, **options):
    return finish_masks(masks, sizes, num_objects, MaskOptions(**options))


@pytest.mark.parametrize(
    "masks", [LOGITS, LOGITS.numpy(), list(LOGITS), [one.numpy() for one in LOGITS], tuple(LOGITS)]
)
@pytest.mark.parametrize("sizes", [SIZES, np.array(SIZES), torch.tensor(SIZES)])
def test_masks_come_in_any_form_and_get_the_size_of_their_picture(masks, sizes):
    finished = finish(masks, sizes)

    for mask, logits, size in zip(finished, LOGITS, SIZES, strict=True):
        assert torch.equal(mask, resize_masks(logits, size) > 0)


def test_the_callers_list_is_left_alone():
    """Overwritten by transformers 5.23: models/sam2/image_processing_sam2.py:642."""
    masks = [LOGITS[0].numpy(), LOGITS[1].numpy()]
    before = list(masks)

    finish(masks, max_hole_area=9.0)

    assert all(one is other for one, other in zip(masks, before, strict=True))
    assert np.array_equal(masks[0], LOGITS[0].numpy())


def test_logits_can_be_kept_and_the_threshold_moved():
    logits = finish(LOGITS, binarize=False)
    masks = finish(LOGITS, mask_threshold=0.3)

    assert logits[0].dtype == torch.float32
    assert torch.equal(masks[0], logits[0] > 0.3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_keep_their_type(dtype):
    logits = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(dtype)

    (found,) = finish_masks([logits], [(40, 50)], None, MaskOptions(binarize=False))
    (masks,) = finish_masks([logits], [(40, 50)], None, MaskOptions())

    wide = functional.interpolate(logits.double(), (40, 50), mode="bilinear")
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), wide.to(dtype).float(), rtol=0.02, atol=1e-5)
    assert torch.equal(masks, found > 0)


def test_holes_and_speckles_are_cleaned_before_the_resize():
    """Ignored by transformers 5.23: models/sam2/image_processing_sam2.py:638."""
    finished = finish(LOGITS, max_hole_area=5, max_sprinkle_area=4, binarize=False)

    assert torch.equal(finished[0], resize_masks(clean_masks(LOGITS[0], 5, 4), SIZES[0]))
    assert not torch.equal(finished[0], finish(LOGITS, binarize=False)[0])


def test_many_masks_of_a_large_picture_take_hardly_more_memory_than_the_result():
    """More than five times as much where all are enlarged together."""
    command = [sys.executable, "-c", PEAK_OF_MANY_MASKS]

    done = subprocess.run(command, capture_output=True, check=True, text=True)

    shares = json.loads(done.stdout)
    assert shares["masks"] < 1.4
    assert shares["masks kept apart"] < 1.4
    assert shares["logits"] < 1.2


@pytest.mark.parametrize("binarize", [True, False])
def test_masks_that_are_finished_one_by_one_equal_those_finished_together(binarize):
    logits = LOGITS[0] * 5
    enlarged = suppress_overlaps(resize_masks(clean_masks(logits, 3, 3, 0.2), (300, 200)))

    (finished,) = finish(
        [logits],
        [(300, 200)],
        binarize=binarize,
        mask_threshold=0.2,
        max_hole_area=3,
        max_sprinkle_area=3,
        apply_non_overlapping_constraints=True,
    )

    assert torch.equal(finished, enlarged > 0.2 if binarize else enlarged)


def test_objects_can_be_kept_apart():
    masks = finish(LOGITS, apply_non_overlapping_constraints=True)

    assert masks[0].sum(dim=0).max() == 1
    assert torch.equal(masks[0], suppress_overlaps(resize_masks(LOGITS[0], SIZES[0])) > 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_are_enlarged_in_float32_and_keep_their_type(dtype):
    logits = LOGITS[0].to(dtype)

    (found,) = finish([logits], [(300, 200)], binarize=False)

    assert found.dtype == dtype
    assert torch.equal(found, resize_masks(logits, (300, 200)).to(dtype))


def test_padded_objects_are_cut_off():
    assert [len(masks) for masks in finish(LOGITS, num_objects=[3, 1])] == [3, 1]


@pytest.mark.parametrize("masks", [[[1, 0], [0, 1]], "masks", 3, None, [LOGITS[0], "x"]])
def test_what_holds_no_masks_is_a_type_error(masks):
    with pytest.raises(TypeError, match="tensor"):
        finish(masks)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"masks": LOGITS[:1]}, r"masks has 1 entries for 2 image"),
        ({"masks": LOGITS, "num_objects": [3]}, "num_objects has 1 entries"),
        ({"masks": LOGITS[:, 0]}, r"\(2, 16, 16\)"),
    ],
)
def test_numbers_that_differ_are_named(arguments, words):
    with pytest.raises(PromptError, match=words):
        finish(**arguments)


@pytest.mark.parametrize("sizes", [[20, 30], [[20, 30, 3]], 5, [["a", 3]], [[0, 5]], "ab", None])
def test_sizes_are_pairs_of_positive_numbers(sizes):
    with pytest.raises(PromptError, match="original_sizes"):
        read_sizes(sizes)


def test_sizes_are_read_from_anything_that_holds_them():
    for sizes in (SIZES, np.array(SIZES), torch.tensor(SIZES), [torch.tensor(SIZES[0]), SIZES[1]]):
        assert read_sizes(sizes) == SIZES
