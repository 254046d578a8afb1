import torch

from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.training.click_sampling import draw_numbers
from sam2_hf.training.prompt_simulation import (
    Correction,
    FirstPrompt,
    PromptPlan,
    PromptSchedule,
    SimulatedUser,
)
from sam2_hf.video.tracking import NO_PROMPTS

SIDE, LOW = 32, 8
CLICK, BOX = FirstPrompt(0, "click"), FirstPrompt(0, "box")
CENTRAL = FirstPrompt(0, "click", central=True)
ONE = (Correction(),)


def truth():
    """Two objects on two frames, `(n, t, h, w)`; they move by a pixel."""
    found = torch.zeros(2, 2, SIDE, SIDE, dtype=torch.bool)
    for t in range(2):
        found[0, t, 4 + t : 12 + t, 6:20] = True
        found[1, t, 18 + t : 28 + t, 10:14] = True
    return found


def user(first=CLICK, corrections=ONE):
    plan = PromptPlan(2, (first,), (0,), (tuple(corrections),))
    numbers = draw_numbers([2], [3], (2, 8), torch.device("cpu"))
    once = torch.zeros(2, dtype=torch.bool)
    return SimulatedUser(PromptSchedule(box_noise=0.0), plan, truth(), numbers, once)


def masks_that_are(found):
    """An answer whose best masks are these."""
    shrunk = torch.nn.functional.avg_pool2d(found.float()[:, None], SIDE // LOW)
    logits = 20 * shrunk - 10
    return ObjectMasks(logits, torch.ones(2, 1), logits, torch.ones(2, 1), logits, logits)


def on(found, points):
    x, y = points.long().T
    return found[torch.arange(len(found)), y, x].tolist()


def test_a_tracked_frame_is_not_prompted():
    assert user().first_prompts(None) is NO_PROMPTS


def test_the_first_click_goes_onto_each_object():
    prompts = user().first_prompts(CLICK)

    assert prompts.points_bpt2.shape == (2, 1, 1, 2)
    assert prompts.labels_bpt.tolist() == [[[1]], [[1]]]
    assert on(truth()[:, 0], prompts.points_bpt2[:, 0, 0]) == [True, True]


def test_a_box_is_its_two_corners():
    prompts = user(BOX).first_prompts(BOX)

    assert prompts.labels_bpt.tolist() == [[[2, 3]], [[2, 3]]]
    assert prompts.points_bpt2[:, 0].tolist() == [[[6, 4], [19, 11]], [[10, 18], [13, 27]]]


def test_a_correction_joins_the_clicks_and_hands_the_mask_back():
    asked = user(BOX)
    first = asked.first_prompts(BOX)
    answer = masks_that_are(torch.zeros(2, SIDE, SIDE))

    second = asked.corrected(0, 0, first, answer)

    assert torch.equal(second.points_bpt2[:, :, :2], first.points_bpt2)
    assert second.labels_bpt[:, 0].tolist() == [[2, 3, 1], [2, 3, 1]]
    assert second.masks_bphw is answer.logits_b1hw


def test_a_correction_goes_into_the_error():
    too_much = truth()[:, 0].clone()
    too_much[:, :, 24:] = True

    prompts = user().corrected(0, 0, NO_PROMPTS, masks_that_are(too_much))

    assert prompts.labels_bpt.flatten().tolist() == [0, 0]
    assert (prompts.points_bpt2[..., 0] >= 22).all()


def test_a_correction_onto_the_truth_does_not_look_at_the_error():
    too_much = torch.ones(2, SIDE, SIDE)
    asked = user(corrections=[Correction(onto_truth=True)])

    prompts = asked.corrected(0, 0, NO_PROMPTS, masks_that_are(too_much))

    assert prompts.labels_bpt.flatten().tolist() == [1, 1]
    assert on(truth()[:, 0], prompts.points_bpt2[:, 0, 0]) == [True, True]


def test_a_central_click_is_no_matter_of_chance():
    first = FirstPrompt(0, "click", central=True)

    prompts = user(first).first_prompts(first)

    assert prompts.points_bpt2.reshape(2, 2).tolist() == [[9.0, 7.0], [11.0, 19.0]]


def test_corrections_that_follow_each_other_go_to_different_places():
    asked = user(corrections=[Correction(), Correction()])
    nothing = masks_that_are(torch.zeros(2, SIDE, SIDE))

    first, second = (asked.corrected(0, step, NO_PROMPTS, nothing) for step in (0, 1))

    assert not torch.equal(first.points_bpt2, second.points_bpt2)


def test_an_object_that_stands_there_again_is_clicked_elsewhere():
    twice = truth()[[0, 0]]
    plan = PromptPlan(2, (CENTRAL,), (), ())
    numbers = draw_numbers([2], [3], (2, 8), torch.device("cpu"))
    again = torch.tensor([False, True])

    prompts = SimulatedUser(PromptSchedule(), plan, twice, numbers, again).first_prompts(CENTRAL)

    first, second = prompts.points_bpt2[:, 0, 0].tolist()
    assert first == user(CENTRAL).first_prompts(CENTRAL).points_bpt2[0, 0, 0].tolist()
    assert second != first
    assert on(twice[:, 0], prompts.points_bpt2[:, 0, 0]) == [True, True]
