"""Names for masks, by a stand-in and by a tiny CLIP with random weights."""

import numpy as np
import pytest

from sam2_hf.errors import DetectionError, PromptError
from sam2_hf.open_vocabulary.mask_scorer import GRAY, ZeroShotScorer, name_masks
from tests.stand_in_detector import KnownBrightness

SUMS = 1e-5  # sums of a batch are taken in another order
PICTURE = np.zeros((40, 60, 3), np.uint8)
PICTURE[:, 30:] = 250
LEFT, RIGHT, NOTHING = (np.zeros((40, 60), bool) for _ in range(3))
LEFT[10:20, 5:15] = True
RIGHT[10:20, 40:55] = True


def test_each_mask_gets_its_best_label_and_an_empty_one_none():
    names = name_masks(KnownBrightness(), PICTURE, [LEFT, NOTHING, RIGHT], ("bright", "dark"))

    assert names == [("dark", 1.0), None, ("bright", pytest.approx(250 / 255))]


def test_a_scorer_sees_the_masks_box_with_gray_around_the_object():
    seen = []

    class Watching:
        def score(self, crops, labels):
            seen.extend(crops)
            return np.ones((len(crops), len(labels)))

    corner = LEFT.copy()
    corner[10, 5] = False
    name_masks(Watching(), PICTURE, [corner], ("dark",))

    (crop,) = seen
    assert crop.shape == (10, 10, 3)
    assert (crop[0, 0] == GRAY).all()
    assert (crop.reshape(-1, 3)[1:] == 0).all()


@pytest.mark.parametrize("answer", [np.ones((1, 3)), np.full((1, 2), np.nan), "none"])
def test_an_answer_that_cannot_be_used_says_why(answer):
    class Wrong:
        def score(self, crops, labels):
            return answer

    with pytest.raises(DetectionError, match=r"\(1, 2\) finite scores are needed"):
        name_masks(Wrong(), PICTURE, [LEFT], ("dark", "bright"))


def test_a_scorer_that_fails_is_named():
    class Broken:
        def score(self, crops, labels):
            raise KeyError("weights")

    with pytest.raises(DetectionError, match="the scorer Broken failed"):
        name_masks(Broken(), PICTURE, [LEFT], ("dark",))


def test_clip_gives_scores_that_add_up_to_one(clip_model):
    crops = [PICTURE[:20, :30], PICTURE[:7, 20:41]]

    scores = ZeroShotScorer(*clip_model).score(crops, ["a dog", "a cat", "a cup"])

    assert scores.shape == (2, 3)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
    assert ZeroShotScorer(*clip_model).score([], ["a dog"]).shape == (0, 1)


def test_many_crops_are_scored_as_each_alone(clip_model):
    crops = [PICTURE[:20, place : place + 20] for place in range(35)]
    scorer = ZeroShotScorer(*clip_model)

    together = scorer.score(crops, ["a dog", "a cat"])

    alone = scorer.score(crops[33:34], ["a dog", "a cat"])[0]
    np.testing.assert_allclose(together[33], alone, rtol=SUMS)


def test_below_the_threshold_a_mask_has_no_name(clip_model):
    unsure = ZeroShotScorer(*clip_model, threshold=1.0)

    assert name_masks(unsure, PICTURE, [LEFT], ("a dog", "a cat")) == [None]


def test_a_saved_scorer_answers_the_same(clip_model, tmp_path):
    for part in clip_model:
        part.save_pretrained(tmp_path)

    loaded = ZeroShotScorer.from_pretrained(tmp_path, device="cpu")

    crops = [PICTURE[:20, 20:50]]
    expected = ZeroShotScorer(*clip_model).score(crops, ["dog", "cat"])
    np.testing.assert_allclose(loaded.score(crops, ["dog", "cat"]), expected, rtol=SUMS)


def test_options_that_cannot_be_used_are_refused(clip_model):
    with pytest.raises(PromptError, match="threshold is 2"):
        ZeroShotScorer(*clip_model, threshold=2)
    with pytest.raises(PromptError, match=r"no \{\} for the label"):
        ZeroShotScorer(*clip_model, template="a photo")
