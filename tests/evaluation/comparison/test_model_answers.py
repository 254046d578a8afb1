"""What a model is asked, and what counts of its answers."""

import numpy as np
import pytest

from evaluation.comparison.model_answers import (
    BEST_OF_THREE,
    MODEL,
    ModelGuesser,
    ModelTracker,
    Pipelines,
)
from evaluation.micro.sets import davis_set
from sam2_hf import ImageSegmentationPipeline, MaskGenerationPipeline, VideoSegmentationPipeline
from tests.labeled_squares import HEIGHT, WIDTH, picture_of, square_mask

CLICKS = [(9, 11), (30, 2)]


@pytest.fixture(scope="module")
def pipelines(tiny_checkpoint):
    return Pipelines.load(str(tiny_checkpoint), "cpu")


def test_three_pipelines_are_made_of_one_checkpoint(pipelines):
    assert isinstance(pipelines.segment, ImageSegmentationPipeline)
    assert isinstance(pipelines.everything, MaskGenerationPipeline)
    assert isinstance(pipelines.track, VideoSegmentationPipeline)


def test_the_mask_with_the_highest_predicted_iou_counts_and_all_three_are_told(pipelines):
    picture_hw3 = picture_of(square_mask())

    answers = list(ModelGuesser(pipelines.segment)(picture_hw3, CLICKS))

    for click, guesses in zip(CLICKS, answers, strict=True):
        alone = pipelines.segment(picture_hw3, points=[click], labels=[1])
        assert [one.method for one in guesses] == [MODEL, *[BEST_OF_THREE] * 3]
        np.testing.assert_array_equal(guesses[0].mask_hw, alone.masks[alone.scores.argmax()])
        np.testing.assert_array_equal([one.mask_hw for one in guesses[1:]], alone.masks)


def test_a_photo_without_segments_is_not_even_encoded(pipelines):
    assert list(ModelGuesser(None)(picture_of(square_mask()), [])) == []


def test_a_clip_is_tracked_from_the_true_mask_of_its_first_frame(pipelines, small_data):
    clip = next(iter(davis_set(small_data)))

    (track,) = ModelTracker(pipelines.track)(clip.frames_thw3, clip.masks_thw[0])

    with pipelines.track.open(clip.frames_thw3) as session:
        session.mask(0, 7, clip.masks_thw[0])
        expected = [result.masks[7] for result in session.propagate()]
    np.testing.assert_array_equal(track.masks_thw, expected)
    assert track.masks_thw.shape == (5, HEIGHT, WIDTH)
