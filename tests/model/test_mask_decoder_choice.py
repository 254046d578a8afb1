import pytest
import torch

from sam2_hf import Sam2MaskDecoderConfig
from sam2_hf.model.mask_decoder import choose_single, stability_bp


def masks_of(*values):
    """Masks of 1 x n pixels for one picture: `(1, p, 1, n)`."""
    return torch.tensor(values)[None, :, None]


@pytest.mark.parametrize(
    ("logits", "stability"),
    [
        ([9.0, 9.0, -9.0, -9.0], 1.0),
        ([9.0, 0.01, 0.0, -9.0], 1 / 3),
        ([0.01, -0.01, 0.0, -9.0], 0.0),
        ([-9.0, -9.0, -9.0, -9.0], 1.0),
        ([0.05, 9.0, -0.05, 9.0], 2 / 3),
    ],
    ids=["clear", "blurred", "only blur", "empty", "on the cuts"],
)
def test_stability_is_the_part_that_survives_a_stricter_cut(logits, stability):
    measured = stability_bp(masks_of(logits), delta=0.05)

    assert measured.shape == (1, 1)
    assert measured.item() == pytest.approx(stability)


def test_a_stable_single_mask_stays_and_an_unstable_one_gives_way_to_the_best():
    clear, blurred = [9.0, 9.0, 9.0, 9.0], [9.0, 0.0, 0.0, 0.0]
    logits = torch.tensor([[[clear] * 4, [blurred] * 4]])[..., None, :]
    iou = torch.tensor([[[0.1, 0.3, 0.9, 0.2], [0.99, 0.3, 0.2, 0.4]]])

    chosen = choose_single(logits, iou, Sam2MaskDecoderConfig())

    assert chosen.shape == (1, 2, 1)
    assert chosen.flatten().tolist() == [0, 3]


def test_a_mask_exactly_as_stable_as_wanted_stays():
    logits = masks_of([9.0, 9.0, 9.0, 0.0]).expand(1, 4, 1, 4)[:, None]
    iou = torch.tensor([[[0.1, 0.9, 0.2, 0.3]]])

    choices = [
        choose_single(
            logits, iou, Sam2MaskDecoderConfig(dynamic_multimask_stability_thresh=threshold)
        ).item()
        for threshold in (0.75, 0.76)
    ]

    assert choices == [0, 1]
