import numpy as np
import pytest

from sam2_hf.data.clip import Clip
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.training.validation import (
    AT_ONCE,
    Prediction,
    as_image_model,
    largest_objects,
    predict_clip,
    predict_photo,
)
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model
from tests.training.drawn_data import GREEN_BOX, moving_clip, photo, square

pytestmark = pytest.mark.usefixtures("one_thread")

CLICK = (19.0, 17.0)  # the innermost pixel of the red square


@pytest.fixture(scope="module")
def model():
    return drawn_video_model()


def squares(count=2):
    """A photo with that many objects."""
    masks = [square(), square(GREEN_BOX)] * count
    return Clip(photo(masks[:2])[None], np.stack(masks)[:count, None], "squares")


def test_an_image_model_shares_every_weight(model):
    image = as_image_model(model)

    assert isinstance(image, Sam2Model)
    shared = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in image.parameters()} <= shared
    assert not image.training


def test_a_photo_is_clicked_in_the_middle_of_its_objects(model):
    prediction = predict_photo(as_image_model(model), squares())

    assert prediction.clicks[0] == CLICK
    assert prediction.found_othw.shape == prediction.clip.masks_othw.shape


def test_many_objects_give_what_each_gives_alone(model):
    image = as_image_model(model)

    many = predict_photo(image, squares(AT_ONCE + 2))

    alone = predict_photo(image, squares(1))
    assert len(many.found_othw) == AT_ONCE + 2
    assert np.array_equal(many.found_othw[0], alone.found_othw[0])
    assert np.array_equal(many.found_othw[-2], alone.found_othw[0])


def test_a_clip_is_tracked_as_a_session_does(model):
    clip = moving_clip()
    session = Sam2VideoInferenceSession.open(clip.frames_thw3, model)
    session.mask(0, 1, clip.masks_othw[0, 0])

    prediction = predict_clip(model, clip)

    tracked = [result.masks[1] for result in session.propagate()]
    assert np.array_equal(prediction.found_othw[0, 1:], np.stack(tracked)[1:])


def test_the_iou_of_a_photo_is_that_of_its_mask():
    clip = Clip(np.zeros((1, 2, 4, 3), np.uint8), np.zeros((2, 1, 2, 4), np.bool_), "x")
    clip.masks_othw[0, 0, 0] = True
    found = np.zeros_like(clip.masks_othw)
    found[0, 0, :, :2] = True

    # 2 of 6 pixels; and nothing found where there is nothing
    assert Prediction(clip, found, ((0, 0), (0, 0))).ious() == [pytest.approx(1 / 3), 1.0]


def test_the_iou_of_a_clip_leaves_out_the_frame_that_was_given():
    masks = np.ones((1, 3, 2, 2), np.bool_)
    found = masks.copy()
    found[0, 2] = False

    clip = Clip(np.zeros((3, 2, 2, 3), np.uint8), masks, "x")

    assert Prediction(clip, found).ious() == [0.5]


def test_the_largest_objects_are_kept_in_their_order():
    clip = squares(3)
    clip.masks_othw[1] = False

    assert np.array_equal(largest_objects(clip, 2).masks_othw, clip.masks_othw[[0, 2]])
    assert largest_objects(clip, None) is clip
