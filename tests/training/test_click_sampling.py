import numpy as np
import pytest
import torch

from sam2_hf.training import click_sampling
from sam2_hf.training.click_sampling import (
    deepest_clicks,
    draw_numbers,
    innermost_clicks,
    noisy_boxes,
    uniform_clicks,
)

CPU = torch.device("cpu")


def masks(*areas, size=(12, 16)):
    """Masks that are True in rows and columns `(y0, y1, x0, x1)`; None for an empty one."""
    found = torch.zeros(len(areas), *size, dtype=torch.bool)
    for mask, area in zip(found, areas, strict=True):
        if area is not None:
            mask[area[0] : area[1], area[2] : area[3]] = True
    return found


def blobs(count, size=(40, 33), seed=0):
    """Ragged masks that touch the edges of the frame."""
    coarse = torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic")[:, 0] > 0.2


def depth_of(region, x, y):
    """Distance of a pixel from the nearest one outside the region or the frame."""
    outside = np.argwhere(~np.pad(region, 1)) - 1
    return np.sqrt(((outside - (y, x)) ** 2).sum(axis=1).min())


def as_lists(clicks):
    return clicks.xy_n2.tolist(), clicks.labels_n.tolist()


def test_every_pixel_of_the_error_is_clicked_as_often_as_any_other():
    truth, guess = blobs(1), blobs(1, seed=1)
    count = int((truth ^ guess).sum())
    numbers = (torch.arange(count) + 0.5) / count

    clicks = uniform_clicks(truth.expand(count, -1, -1), guess.expand(count, -1, -1), numbers)

    x, y = clicks.xy_n2.long().T
    hits = torch.zeros_like(truth[0], dtype=torch.long).index_put_((y, x), torch.tensor(1), True)
    assert torch.equal(hits, (truth ^ guess)[0].long())
    assert torch.equal(clicks.labels_n, truth[0][y, x].long())


def test_objects_are_clicked_each_in_its_own_error():
    truth, guess = blobs(20), blobs(20, seed=1)

    clicks = uniform_clicks(truth, guess, torch.rand(20))

    x, y = clicks.xy_n2.long().T
    each = torch.arange(20)
    assert (truth ^ guess)[each, y, x].all()
    assert torch.equal(clicks.labels_n, truth[each, y, x].long())


@pytest.mark.parametrize("number", [0.0, 1 - 2**-24])
def test_the_ends_of_chance_are_the_first_and_the_last_pixel(number):
    truth = masks((2, 5, 3, 7))

    clicks = uniform_clicks(truth, None, torch.tensor([number]))

    assert as_lists(clicks) == ([[3.0, 2.0] if number == 0.0 else [6.0, 4.0]], [1])


@pytest.mark.parametrize("central", [False, True])
@pytest.mark.parametrize("area", [(2, 5, 3, 7), None])
def test_where_nothing_is_wrong_the_click_goes_beside_the_object(central, area):
    truth = masks(area)

    clicks = (
        innermost_clicks(truth, truth)
        if central
        else uniform_clicks(truth, truth, torch.tensor([0.7]))
    )

    (x, y), label = clicks.xy_n2[0].long(), clicks.labels_n.item()
    assert label == 0
    assert not truth[0, y, x]
    assert (x, y) != (0, 0)


@pytest.mark.parametrize("central", [False, True])
def test_on_an_object_that_fills_the_frame_and_is_found_the_click_goes_onto_it(central):
    truth = masks((0, 12, 0, 16))

    clicks = (
        innermost_clicks(truth, truth)
        if central
        else uniform_clicks(truth, truth, torch.tensor([0.7]))
    )

    assert clicks.labels_n.tolist() == [1]
    assert clicks.xy_n2[0].tolist() != [0.0, 0.0]


def test_the_innermost_click_is_farthest_from_what_is_right():
    truth, guess = blobs(6), blobs(6, seed=1)

    clicks = innermost_clicks(truth, guess)

    for one in range(6):
        missed, wrong = (truth & ~guess)[one].numpy(), (guess & ~truth)[one].numpy()
        depths = {1: depths_of(missed), 0: depths_of(wrong)}
        label = clicks.labels_n[one].item()
        x, y = clicks.xy_n2[one].long().tolist()
        assert depths[label].max() == max(depths[0].max(), depths[1].max())
        assert divmod(int(depths[label].argmax()), 33) == (y, x)


def depths_of(region):
    found = np.zeros(region.shape)
    for y, x in np.argwhere(region):
        found[y, x] = depth_of(region, x, y)
    return found


def test_the_edge_of_the_frame_is_an_edge_of_the_object():
    clicks = innermost_clicks(masks((0, 5, 0, 16)), None)

    assert as_lists(clicks) == ([[2.0, 2.0]], [1])  # the first of those in the middle row


def test_of_two_errors_that_are_equally_thick_the_click_goes_beside_the_object():
    truth, guess = masks((1, 4, 1, 4)), masks((6, 9, 6, 9))

    assert as_lists(innermost_clicks(truth, guess)) == ([[7.0, 7.0]], [0])


def test_an_absent_object_is_not_clicked_onto():
    empty = masks(None)

    assert uniform_clicks(empty, None, torch.tensor([0.3])).labels_n.tolist() == [0]
    assert innermost_clicks(empty, None).labels_n.tolist() == [0]


def test_a_box_without_noise_reaches_from_the_first_pixel_to_the_last():
    boxes = noisy_boxes(masks((2, 5, 3, 7), (0, 12, 0, 16)), torch.rand(2, 4), 0.0, 20.0)

    assert boxes.tolist() == [[3, 2, 6, 4], [0, 0, 15, 11]]


def test_sides_of_a_box_are_off_by_a_part_of_it_and_no_more_than_the_limit():
    truth = masks((20, 81, 30, 51), size=(128, 128)).expand(200, -1, -1)
    exact = torch.tensor([30.0, 20.0, 50.0, 80.0])

    off = noisy_boxes(truth, torch.rand(200, 4), 0.1, 4.0) - exact

    assert (off.abs() <= torch.tensor([2.0, 4.0, 2.0, 4.0])).all()
    assert (off.amax(dim=0) > torch.tensor([1.5, 3.0, 1.5, 3.0])).all()
    assert (off.amin(dim=0) < -torch.tensor([1.5, 3.0, 1.5, 3.0])).all()


def test_a_box_stays_in_the_frame():
    boxes = noisy_boxes(masks((0, 12, 0, 16)), torch.tensor([[0.0, 0.0, 0.99, 0.99]]), 0.5, 20.0)

    assert boxes.tolist() == [[0, 0, 15, 11]]


def test_the_box_of_an_absent_object_is_turned_over():
    exactly = torch.full((1, 4), 0.5)

    assert noisy_boxes(masks(None), exactly, 0.1, 20.0).tolist() == [[15, 11, 0, 0]]


def test_what_is_drawn_for_a_clip_depends_on_its_seed_alone():
    alone = draw_numbers([2], [7], (3, 4), CPU)

    together = draw_numbers([5, 2, 1], [1, 7, 2], (3, 4), CPU)

    assert together.shape == (8, 3, 4, 4)
    assert torch.equal(together[5:7], alone)
    assert not torch.equal(together[:2], alone)


def test_without_seeds_numbers_come_from_torch():
    torch.manual_seed(3)
    first = draw_numbers([2, 1], None, (1, 2), CPU)

    second = draw_numbers([2, 1], None, (1, 2), CPU)
    torch.manual_seed(3)

    assert torch.equal(draw_numbers([2, 1], None, (1, 2), CPU), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("size", [(40, 33), (16, 90), (300, 280)])
def test_together_objects_are_clicked_where_each_is_clicked_alone(size):
    truth, guess = blobs(9, size), blobs(9, size, seed=1)
    truth[3], truth[4], guess[4], guess[5] = True, False, False, truth[5]
    truth[6], guess[6] = True, True

    together, alone = deepest_clicks(truth, guess), innermost_clicks(truth, guess)

    assert as_lists(together) == as_lists(alone)


def test_together_no_objects_get_no_clicks():
    nothing = torch.zeros(0, 8, 8, dtype=torch.bool)

    assert as_lists(deepest_clicks(nothing, nothing)) == ([], [])


def test_together_more_pixels_than_are_worked_on_at_a_time_give_the_same_clicks(monkeypatch):
    truth, guess = blobs(9), blobs(9, seed=1)
    monkeypatch.setattr(click_sampling, "PIXELS", 4 * 40 * 33)

    assert as_lists(deepest_clicks(truth, guess)) == as_lists(innermost_clicks(truth, guess))


def test_together_more_masks_than_are_worked_on_at_a_time_keep_their_order():
    truth = blobs(300, (12, 12))

    together = deepest_clicks(truth, torch.zeros_like(truth))

    assert as_lists(together) == as_lists(innermost_clicks(truth, None))
