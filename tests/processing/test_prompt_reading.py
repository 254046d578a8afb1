import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from sam2_hf.errors import PromptError
from sam2_hf.processing.prompt_reading import Click, read_box, read_clicks, read_mask

SIZE = (48, 72)
WHO = "object 3"


@pytest.mark.parametrize(
    "points",
    [
        (10, 20),
        [10, 20],
        np.array([10, 20]),
        torch.tensor([10.0, 20.0]),
        [(10, 20)],
        np.array([[10.0, 20.0]]),
        Click((10, 20)),
        [Click((10, 20))],
        iter([(10, 20)]),
    ],
)
def test_one_click_is_read_from_any_kind_of_pair(points):
    assert read_clicks(points, None, WHO) == (Click((10.0, 20.0)),)


@pytest.mark.parametrize(
    "labels", [[True, False], (1, 0), np.array([1, 0]), torch.tensor([1.0, 0])]
)
def test_several_clicks_have_a_label_each(labels):
    clicks = read_clicks([(1, 2), (3, 4)], labels, WHO)

    assert clicks == (Click((1, 2)), Click((3, 4), positive=False))


@pytest.mark.parametrize("label", [False, 0, [0], (False,), np.zeros(1), torch.tensor(0)])
def test_one_label_counts_for_all_clicks(label):
    clicks = read_clicks([(1, 2), (3, 4)], label, WHO)

    assert [click.positive for click in clicks] == [False, False]


def test_clicks_and_pairs_may_be_mixed_and_bring_their_own_labels():
    mixed = [(1, 2), Click((3, 4), positive=False)]

    assert read_clicks(mixed, None, WHO) == (Click((1, 2)), Click((3, 4), positive=False))
    with pytest.raises(PromptError, match=r"points of object 3 holds Clicks.*Leave labels out"):
        read_clicks(mixed, [1, 0], WHO)


@pytest.mark.parametrize("points", [(), [], np.zeros((0, 2)), torch.zeros(0, 2)])
def test_there_may_be_no_click_and_then_no_label(points):
    assert read_clicks(points, None, WHO) == read_clicks(points, [], WHO) == ()
    with pytest.raises(PromptError, match=r"0 point\(s\) and labels has 1 label"):
        read_clicks(points, [1], WHO)


@pytest.mark.parametrize(
    "points", [(1,), (1, 2, 3), "here", None, [(1, 2, 3)], [[[1, 2]]], [Click((1, 2)), [(3, 4)]]]
)
def test_what_is_no_click_is_refused(points):
    with pytest.raises(PromptError, match=r"points of object 3 is .*Give \(x, y\), or a list"):
        read_clicks(points, None, WHO)


@pytest.mark.parametrize("xy", [(float("nan"), 5), (5, float("inf"))])
def test_a_click_at_no_place_is_refused(xy):
    with pytest.raises(PromptError, match="points of object 3 holds"):
        read_clicks([(1, 2), xy], None, WHO)


@pytest.mark.parametrize(
    "xyxy", [(1, 2, 30, 40), np.array([1, 2, 30, 40]), torch.tensor([1, 2, 30, 40])]
)
def test_a_box_is_read_from_any_four_numbers(xyxy):
    assert read_box(xyxy, SIZE, WHO) == (1.0, 2.0, 30.0, 40.0)


@pytest.mark.parametrize(
    "xyxy",
    [(1, 2, 3), (30, 2, 1, 40), (1, 40, 30, 2), (-9, 2, -5, 40), (80, 2, 90, 40), None, "box"],
)
def test_what_is_no_box_is_refused(xyxy):
    with pytest.raises(PromptError):
        read_box(xyxy, SIZE, WHO)


def a_mask():
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[:24, :36] = 255
    return mask


@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask,
        lambda mask: mask > 0,
        lambda mask: mask.astype(np.float32),
        lambda mask: torch.from_numpy(mask)[None, None],
        lambda mask: Image.fromarray(mask),
        lambda mask: Image.fromarray(mask).convert("1"),
    ],
    ids=["bytes", "booleans", "floats", "tensor", "picture", "black and white"],
)
def test_a_mask_of_any_kind_is_brought_to_the_models_size(form):
    found = read_mask(form(a_mask()), SIZE, 64, WHO)

    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[:32, :32] = True
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("inside", "outside", "dtype"),
    [
        (True, False, torch.bool),
        (1, 0, torch.uint8),
        (255, 0, torch.uint8),
        (7, 0, torch.int64),
        (1.0, 0.0, torch.float32),
        (255.0, 0.0, torch.float64),
        (0.9, 0.1, torch.float32),
        (0.6, 0.4, torch.float16),
        (1.0005, -0.0005, torch.float32),
        (3.0, -5.0, torch.float32),
        (0.1, -0.2, torch.bfloat16),
        (float("inf"), float("-inf"), torch.float32),
    ],
)
@pytest.mark.parametrize("as_transformers", [False, True])
def test_one_rule_reads_numbers_probabilities_and_logits(inside, outside, dtype, as_transformers):
    drawn = torch.from_numpy(a_mask()) > 0
    given = torch.where(drawn, torch.tensor(inside), torch.tensor(outside)).to(dtype)

    found = read_mask(given, SIZE, 64, WHO, as_transformers=as_transformers)

    if as_transformers and inside == 0.1:  # below the 0.5 that it asks of logits
        assert not found.any()
    elif as_transformers and inside == 3.0:  # edges of logits move by less than a pixel
        assert (found != read_mask(drawn, SIZE, 64, WHO)).float().mean() < 0.02
    else:
        assert torch.equal(found, read_mask(drawn, SIZE, 64, WHO))


def test_logits_are_read_as_the_mask_that_they_show():
    logits = torch.randn(SIZE, generator=torch.Generator().manual_seed(0)) * 5

    assert torch.equal(read_mask(logits, SIZE, 64, WHO), read_mask(logits > 0, SIZE, 64, WHO))


def test_probabilities_are_resized_before_they_are_compared():
    soft = torch.rand(SIZE, generator=torch.Generator().manual_seed(0))

    resized = functional.interpolate(soft[None, None], (64, 64), mode="bilinear", antialias=True)

    assert torch.equal(read_mask(soft, SIZE, 64, WHO), resized[0, 0] >= 0.5)


def test_logits_for_transformers_are_resized_before_they_are_compared():
    logits = torch.randn(SIZE, generator=torch.Generator().manual_seed(0)) * 5

    found = read_mask(logits, SIZE, 64, WHO, as_transformers=True)

    resized = functional.interpolate(logits[None, None], (64, 64), mode="bilinear", antialias=True)
    assert torch.equal(found, resized[0, 0] >= 0.5)


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 127.3, 255.0],
        [0.3, 4.0, 9.5],
        [-0.1, 0.5, 1.1],
        [0.0, float("nan"), 1.0],
    ],
    ids=["soft bytes", "no value below 0", "zeros and ones that ring", "NaN"],
)
def test_a_mask_that_may_mean_two_things_is_refused(values):
    with pytest.raises(PromptError, match="more than one thing"):
        read_mask(torch.tensor([values]), None, 64, WHO)


def test_a_negative_label_is_no_logit():
    with pytest.raises(PromptError, match="int64 values from -1 to 3"):
        read_mask(torch.tensor([[-1, 0, 3]]), None, 64, WHO)


def test_a_mask_of_the_models_size_stays_as_it_is():
    drawn = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) > 0.5

    assert torch.equal(read_mask(drawn, (64, 64), 64, WHO), drawn)


def test_reading_a_mask_leaves_it_alone_and_keeps_no_hold_of_it():
    given = a_mask()

    found = read_mask(given, SIZE, 64, WHO)
    given[:] = 255

    assert not found.all()


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(PromptError, match="is 10 x 20, the picture is 48 x 72"):
        read_mask(np.zeros((10, 20)), SIZE, 64, WHO)


@pytest.mark.parametrize("mask", [np.zeros((2, 48, 72)), np.zeros(5), "mask", None])
def test_what_is_not_one_map_is_refused(mask):
    with pytest.raises(PromptError, match="must be one map"):
        read_mask(mask, SIZE, 64, WHO)


def test_a_mask_may_be_empty():
    assert not read_mask(np.zeros(SIZE), SIZE, 64, WHO).any()
