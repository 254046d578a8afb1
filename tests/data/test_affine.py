import numpy as np
import pytest
from PIL import Image

from sam2_hf.data.affine import FILL, draw_affine, whole_picture
from sam2_hf.data.config import Augmentation
from tests.training.drawn_data import HEIGHT, WIDTH, is_red, photo, square

SIZE = (HEIGHT, WIDTH)
STILL = Augmentation(horizontal_flip=0, degrees=0, shear=0)
WILD = Augmentation(vertical_flip=0.5, degrees=90, shear=30, zoom=(0.6, 2), stretch=1.4)


def random(seed=0):
    return np.random.default_rng(seed)


def test_the_whole_picture_is_stretched_as_pillow_resizes_it():
    picture = Image.fromarray(photo())

    pixels = whole_picture(SIZE, 32).pixels(picture)

    assert np.array_equal(pixels, np.asarray(picture.resize((32, 32))))


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_lies_on_its_object_after_any_affine_map(seed):
    """The square is at most one pixel off its color, all around."""
    mask_hw = square()
    affine = draw_affine(WILD, SIZE, 96, (22.0, 18.0), random(seed))

    seen = is_red(affine.pixels(Image.fromarray(photo((mask_hw,)))))
    mask = affine.labels(mask_hw.astype(np.uint8)) > 0

    around = np.pad(mask, 1)
    moved = [np.roll(around, (i, j), (0, 1))[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    assert not (seen & ~np.any(moved, axis=0)).any()
    assert not (np.all(moved, axis=0) & ~seen).any()


def test_without_any_amount_nothing_moves():
    affine = draw_affine(STILL, SIZE, 32, (5.0, 5.0), random())

    assert np.allclose(affine.matrix_33, whole_picture(SIZE, 32).matrix_33)


def test_a_flip_mirrors_the_picture():
    flip = Augmentation(horizontal_flip=1, degrees=0, shear=0)
    affine = draw_affine(flip, SIZE, WIDTH, (0, 0), random())

    mirrored = affine.labels(square().astype(np.uint8))

    straight = whole_picture(SIZE, WIDTH).labels(square().astype(np.uint8))
    assert np.array_equal(mirrored, straight[:, ::-1])


def test_a_zoom_goes_to_the_object():
    zoom = Augmentation(horizontal_flip=0, degrees=0, shear=0, zoom=(4, 4), zoom_on_object=1)

    shown = [draw_affine(zoom, SIZE, 32, (60.0, 4.0), random(seed)) for seed in range(10)]

    # where the anchor lies in the input
    places = [np.linalg.inv(affine.matrix_33) @ (60.0, 4.0, 1.0) for affine in shown]
    assert all((place[:2] >= 0).all() and (place[:2] <= 32).all() for place in places)


def test_a_zoom_shows_nothing_but_the_picture():
    zoom = Augmentation(horizontal_flip=0.5, degrees=0, shear=0, zoom=(1, 3))

    maps = [draw_affine(zoom, SIZE, 32, (60.0, 4.0), random(seed)) for seed in range(20)]

    ones = np.ones(SIZE, np.uint8)
    assert all(affine.labels(ones).all() for affine in maps)


def test_the_margin_of_a_small_picture_takes_the_mean_color_and_no_label():
    small = Augmentation(horizontal_flip=0, degrees=0, shear=0, zoom=(0.5, 0.5), zoom_on_object=0)
    affine = draw_affine(small, SIZE, 32, (0, 0), random())

    pixels = affine.pixels(Image.fromarray(photo()))
    outside = affine.labels(np.ones(SIZE, np.uint8)) == 0

    assert outside.mean() == pytest.approx(0.75, abs=0.05)
    inner = outside & np.roll(outside, 2, 0) & np.roll(outside, -2, 0)
    inner &= np.roll(outside, 2, 1) & np.roll(outside, -2, 1)
    assert (pixels[inner] == FILL).all()


def test_shrinking_does_not_alias():
    """Stripes of one pixel become gray, not stripes of other widths."""
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    turn = Augmentation(horizontal_flip=0, degrees=10, shear=0)
    affine = draw_affine(turn, (240, 320), 40, (0, 0), random())

    pixels = affine.pixels(Image.fromarray(stripes))

    assert pixels[15:25, 15:25].std() < 6


def test_labels_above_a_byte_are_kept():
    labels_hw = square().astype(np.int32) * 70_000

    found = whole_picture(SIZE, 32).labels(labels_hw)

    assert set(np.unique(found)) == {0, 70_000}


def test_the_center_of_a_turn_is_the_middle_of_the_picture():
    turn = Augmentation(horizontal_flip=0, degrees=80, shear=20)

    affine = draw_affine(turn, SIZE, 32, (0, 0), random(3))

    assert affine.matrix_33 @ (16, 16, 1) == pytest.approx([WIDTH / 2, HEIGHT / 2, 1])


def test_a_square_keeps_its_area_under_a_turn():
    turn = Augmentation(horizontal_flip=0, degrees=45, shear=0)
    middle = square((14, 22, 34, 42)).astype(np.uint8)

    turned = draw_affine(turn, SIZE, 96, (0, 0), random(1)).labels(middle).sum()

    straight = whole_picture(SIZE, 96).labels(middle)
    assert turned == pytest.approx(straight.sum(), rel=0.03)
