"""Frames and masks of scenes made by hand: exact, hiding, moving, bending."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sam2_hf.training.synthetic.drawing import Waves
from sam2_hf.training.synthetic.motion import Affine, Motion, Swing, VirtualCamera
from sam2_hf.training.synthetic.objects import Thing, ThingPart
from sam2_hf.training.synthetic.scene import Ground, Scene, take_picture

SIZE = 64
REST = Swing()
RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
RADIUS = 0.25  # of a thing: 16 pixels, so that its square is 32 pixels wide


def motion(x=0.5, y=0.5, **changes):
    still = Motion(
        np.array([x, y]), np.zeros(2), (REST, REST), 0.0, 0.0, REST, RADIUS, 0.0, REST,
        np.zeros(2), (0.0, 1.0),
    )  # fmt: skip
    return replace(still, **changes)


def thing(color, way=None, *, waves=None, **changes):
    """A square of one color that covers all of its own square but the border."""
    pixels_4hw = torch.zeros(4, 32, 32)
    pixels_4hw[:, 1:-1, 1:-1] = torch.tensor([*color, 1.0])[:, None, None]
    part = ThingPart(pixels_4hw, waves or Waves(), np.zeros(2), np.zeros(2), 1.0, REST)
    return replace(Thing((part,), way or motion(), (), np.zeros(2)), **changes)


def scene(*things, camera=None, shutter=0.0, ground=None):
    still = VirtualCamera(np.zeros(2), (REST, REST), 0.0, REST)
    black = Ground(torch.zeros(3, 8, 8), Affine(np.eye(2) / 2, np.full(2, 0.5)))
    return Scene(
        ground or black,
        things,
        camera or still,
        shutter,
        torch.zeros(3, SIZE // 2, SIZE // 2),
        REST,
    )


def middle_of(mask_hw):
    """Mean row and column."""
    return np.argwhere(mask_hw).mean(axis=0)


def test_a_mask_holds_exactly_the_pixels_of_the_object():
    canvas_3hw, masks_ohw = take_picture(scene(thing(RED)), 0, SIZE)

    assert masks_ohw.sum() == 30**2
    assert np.array_equal(canvas_3hw[0].numpy() >= 0.5, masks_ohw[0])


def test_a_turned_object_keeps_its_area_and_its_soft_edge():
    turned = scene(thing(RED, motion(angle=0.7)))

    canvas_3hw, masks_ohw = take_picture(turned, 0, SIZE)

    assert masks_ohw.sum() == pytest.approx(30**2, rel=0.02)
    assert ((canvas_3hw[0] > 0.1) & (canvas_3hw[0] < 0.9)).sum() > 30


def test_the_nearer_object_hides_the_farther_one():
    """The green one is drawn later; of the red one a strip of 8 columns is left."""
    both = scene(thing(RED), thing(GREEN, motion(x=0.5 + 8 / SIZE)))

    canvas_3hw, masks_ohw = take_picture(both, 0, SIZE)

    assert [int(mask_hw.sum()) for mask_hw in masks_ohw] == [8 * 30, 30 * 30]
    assert (canvas_3hw[1].numpy()[masks_ohw[1]] == 1).all()


def test_an_object_behind_another_one_is_hidden_completely():
    _, masks_ohw = take_picture(scene(thing(RED), thing(GREEN)), 0, SIZE)

    assert not masks_ohw[0].any()


def test_what_is_not_labeled_hides_and_has_no_mask():
    bar = thing(GREEN, motion(x=0.5 + 8 / SIZE), labeled=False)

    _, masks_ohw = take_picture(scene(thing(RED), bar), 0, SIZE)

    assert [int(mask_hw.sum()) for mask_hw in masks_ohw] == [8 * 30]


def test_an_object_moves_at_its_speed():
    moving = scene(thing(RED, motion(x=0.4, speed_2=np.array([3 / SIZE, -2 / SIZE]))))

    first_hw, later_hw = (take_picture(moving, time, SIZE)[1][0] for time in (0, 2))

    assert middle_of(later_hw) - middle_of(first_hw) == pytest.approx([-4, 6], abs=0.1)


def test_an_object_grows():
    growing = scene(thing(RED, motion(growth=0.1)))

    areas = [take_picture(growing, time, SIZE)[1].sum() for time in (0, 2)]

    assert areas[1] / areas[0] == pytest.approx(np.exp(0.4), rel=0.05)


def test_waves_bend_an_object_while_it_stands():
    bends = Waves(np.array([0.2, 0.0]), np.array([(0.0, 2.0), (0.0, 0.0)]), np.ones(2), np.zeros(2))
    bending = scene(thing(RED, motion(), waves=bends))

    first_hw, later_hw = (take_picture(bending, time, SIZE)[1][0] for time in (0, 3))

    assert (first_hw ^ later_hw).sum() > 0.1 * first_hw.sum()
    assert later_hw.sum() == pytest.approx(first_hw.sum(), rel=0.1)


def test_an_object_leaves_the_picture_and_comes_back():
    away = scene(thing(RED, motion(excursion_2=np.array([1.0, 0.0]), absence=(0.0, 8.0))))

    areas = [take_picture(away, time, SIZE)[1].sum() for time in (0, 4, 8)]

    assert areas[1] == 0
    assert areas[0] == areas[2] > 0


def test_objects_move_with_what_the_camera_sees():
    camera = VirtualCamera(np.array([4 / SIZE, 0.0]), (REST, REST), 0.0, REST)

    masks = [take_picture(scene(thing(RED), camera=camera), time, SIZE)[1][0] for time in (0, 2)]

    assert middle_of(masks[1]) - middle_of(masks[0]) == pytest.approx([0, -8], abs=0.1)


def test_an_object_of_the_backdrop_moves_with_it_and_is_hidden_by_what_is_before_it():
    pixels_4hw = torch.zeros(4, SIZE, SIZE)
    pixels_4hw[:, 20:44, 20:44] = torch.tensor([*GREEN, 1.0])[:, None, None]
    ground = Ground(pixels_4hw, Affine(np.eye(2) / 2, np.full(2, 0.5)))
    camera = VirtualCamera(np.array([4 / SIZE, 0.0]), (REST, REST), 0.0, REST)

    _, masks_ohw = take_picture(scene(ground=ground, camera=camera), 1, SIZE)
    _, hidden_ohw = take_picture(scene(thing(RED), ground=ground), 0, SIZE)

    assert middle_of(masks_ohw[0]) == pytest.approx([31.5, 27.5])
    assert not hidden_ohw[0].any()


def test_a_long_exposure_blurs_what_moves_and_nothing_else():
    fast = motion(x=0.5, y=20 / SIZE, speed_2=np.array([10 / SIZE, 0.0]))

    blurred, sharp = (
        take_picture(scene(thing(RED, way), shutter=0.8), 0, SIZE)[0][0]
        for way in (fast, motion(y=20 / SIZE))
    )

    assert ((blurred > 0.1) & (blurred < 0.9)).sum() > 4 * 30
    assert ((sharp > 0.1) & (sharp < 0.9)).sum() == 0


def test_a_shadow_darkens_and_is_no_part_of_the_mask():
    white = Ground(torch.ones(3, 8, 8), Affine(np.eye(2) / 2, np.full(2, 0.5)))
    dark_4hw = torch.zeros(4, 32, 32)
    dark_4hw[3] = 0.5
    shadow = replace(thing(RED).parts[0], pixels_4hw=dark_4hw)
    shadowed = thing(RED, shadows=(shadow,), fall_2=np.array([0.1, 0.0]))

    canvas_3hw, masks_ohw = take_picture(scene(shadowed, ground=white), 0, SIZE)

    assert masks_ohw.sum() == 30**2
    assert 0.4 < canvas_3hw[2].numpy()[~masks_ohw[0]].min() < 0.6
