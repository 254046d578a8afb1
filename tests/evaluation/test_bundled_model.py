"""The bundled model is trained: its masks are about what is clicked."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from evaluation.demo_clip import demo_clip, first_clicks
from evaluation.metrics import region_similarity, score_masklet
from sam2_hf import pipeline
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL

CUP = (290, 225)  # where `make demo` clicks; x, y


@pytest.fixture(scope="module")
def cup():
    """The cup of the photo with its saucer, as two ellipses."""
    rows, columns = np.mgrid[:400, :600]
    return ((columns - 279) / 203) ** 2 + ((rows - 229) / 156) ** 2 < 1


def test_a_click_on_the_cup_finds_the_cup(cup):
    segment = pipeline("image-segmentation", model=SMALL_MODEL, device="cpu")

    answer = segment(data.coffee(), points=[CUP], labels=[1])

    best_of_three = max(region_similarity(cup, mask_hw) for mask_hw in answer.masks)
    assert best_of_three > 0.4
    assert best_of_three > cup.mean()  # the IoU of a mask of the whole photo


def test_everything_in_a_photo_is_more_than_a_few_things_and_covers_most_of_it():
    everything = pipeline("mask-generation", model=SMALL_MODEL, device="cpu")

    found = everything(Image.fromarray(data.coffee()))

    covered = np.any([one.segmentation for one in found], axis=0).mean()
    assert len(found) >= 4
    assert covered > 0.5


def test_two_objects_are_followed_better_than_by_their_first_masks():
    frames, truth = demo_clip()
    track = pipeline("video-segmentation", model=SMALL_MODEL, device="cpu")

    with track.open(frames) as session:
        for number, xy in first_clicks(truth).items():
            session.click(0, number, xy)
        found = [result.masks for result in session.propagate()]

    for number, truth_thw in truth.items():
        found_thw = np.stack([masks[number] for masks in found])
        still_thw = np.broadcast_to(truth_thw[0], truth_thw.shape)
        assert score_masklet(truth_thw, found_thw).j > score_masklet(truth_thw, still_thw).j + 10
