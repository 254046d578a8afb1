import numpy as np
import pytest
from PIL import Image

from sam2_hf.data.augmentation import draw_augmentation, resize_only
from sam2_hf.data.config import Augmentation
from sam2_hf.data.frame_annotations import MaskList
from tests.training.drawn_data import HEIGHT, WIDTH, agreement, is_red, photo, square

SIZE = (HEIGHT, WIDTH)
MASK = square((12, 16, 36, 46))
PICTURE = Image.fromarray(photo((MASK,)))
OBJECTS = MaskList.of([MASK], SIZE)
PLAIN = {"brightness": 0, "contrast": 0, "saturation": 0}
NO_COLORS = Augmentation(
    **PLAIN, frame_brightness=0, frame_contrast=0, frame_saturation=0, grayscale=0
)


def draw(augment, seed=0, num_frames=3):
    return draw_augmentation(
        augment, SIZE, 64, (WIDTH / 2, HEIGHT / 2), num_frames, np.random.default_rng(seed)
    )


@pytest.mark.parametrize("seed", range(8))
def test_masks_follow_pixels_through_everything_at_once(seed):
    augment = Augmentation(grayscale=0, zoom=(0.7, 1.5), mosaic=0.5, hue=0.02)
    augmentation = draw(augment, seed)

    seen = is_red(augmentation.frame(PICTURE, 0))
    mask = augmentation.masks(OBJECTS, [0])[0]

    if augmentation.mosaic is not None:
        cell = np.kron(np.arange(4).reshape(2, 2), np.ones((32, 32)))
        seen &= cell == 2 * augmentation.mosaic.row + augmentation.mosaic.column
    assert agreement(mask, seen) > 0.75


def test_all_frames_of_a_clip_are_moved_alike():
    augmentation = draw(NO_COLORS)

    frames = [augmentation.frame(PICTURE, place) for place in range(3)]

    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[0], frames[2])


def test_each_frame_has_colors_of_its_own():
    augmentation = draw(Augmentation(**PLAIN, frame_brightness=0.3))

    frames = [augmentation.frame(PICTURE, place) for place in range(3)]

    assert len({frame.mean() for frame in frames}) == 3


def test_the_same_chance_gives_the_same_variation():
    augment = Augmentation(mosaic=0.5, zoom=(1, 2))

    first, second, other = draw(augment, 4), draw(augment, 4), draw(augment, 5)

    assert np.array_equal(first.frame(PICTURE, 1), second.frame(PICTURE, 1))
    assert not np.array_equal(first.frame(PICTURE, 1), other.frame(PICTURE, 1))


def test_without_variation_a_picture_is_only_resized():
    augmentation = resize_only(SIZE, 32)

    assert np.array_equal(augmentation.frame(PICTURE, 0), np.asarray(PICTURE.resize((32, 32))))
    assert augmentation.masks(OBJECTS, [0]).mean() == pytest.approx(MASK.mean(), abs=0.03)
