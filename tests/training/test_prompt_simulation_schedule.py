from collections import Counter
from functools import cache

import pytest
import torch

from sam2_hf.errors import TrainingError
from sam2_hf.training.prompt_simulation import PromptSchedule

DRAWS = 2000
CLOSE = 0.05  # of a probability, in that many draws: more than four standard deviations


@cache
def plans(schedule=None, num_frames=8):
    generator = torch.Generator().manual_seed(0)
    return [(schedule or PromptSchedule()).plan(num_frames, generator) for _ in range(DRAWS)]


def share(events):
    events = list(events)
    return sum(events) / len(events)


def test_first_prompts_are_drawn_as_the_paper_says():
    kinds = Counter(plan.first_prompts[0].kind for plan in plans())

    assert kinds["mask"] / DRAWS == pytest.approx(0.5, abs=CLOSE)
    assert kinds["click"] / DRAWS == pytest.approx(0.25, abs=CLOSE)
    assert kinds["box"] / DRAWS == pytest.approx(0.25, abs=CLOSE)


def test_photos_are_prompted_with_clicks_and_boxes_only():
    drawn = plans(num_frames=1)

    kinds = Counter(plan.first_prompts[0].kind for plan in drawn)
    assert set(kinds) == {"click", "box"}
    assert kinds["box"] / DRAWS == pytest.approx(0.5, abs=CLOSE)
    assert all(plan.order == plan.corrected_frames == (0,) for plan in drawn)


def test_one_or_two_frames_are_prompted_and_the_first_always_is():
    drawn = plans()

    assert share(len(plan.first_prompts) == 2 for plan in drawn) == pytest.approx(0.5, abs=CLOSE)
    assert all(plan.first_prompts[0].frame == 0 for plan in drawn)
    assert {plan.first_prompts[-1].frame for plan in drawn} == set(range(8))


def test_prompted_frames_come_first_and_the_others_in_the_order_of_time():
    for plan in plans()[:50]:
        prompted = [first.frame for first in plan.first_prompts]
        others = list(plan.order[len(prompted) :])

        assert list(plan.order[: len(prompted)]) == prompted
        assert others == sorted(set(range(8)) - set(prompted))


def test_clips_with_true_masks_are_not_corrected():
    masked = [plan for plan in plans() if plan.first_prompts[0].kind == "mask"]

    assert all(not plan.corrected_frames and not plan.corrections for plan in masked)
    assert all(first.kind == "mask" for plan in masked for first in plan.first_prompts)


def test_prompted_frames_are_corrected_and_sometimes_a_tracked_one():
    clicked = [plan for plan in plans() if plan.corrected_frames]

    assert all(
        plan.corrected_frames[: len(plan.first_prompts)]
        == tuple(first.frame for first in plan.first_prompts)
        for plan in clicked
    )
    tracked = [len(plan.corrected_frames) > len(plan.first_prompts) for plan in clicked]
    assert share(tracked) == pytest.approx(0.25, abs=CLOSE)  # one prompted, two corrected
    assert all(len(one) == 7 for plan in clicked for one in plan.corrections)


def test_one_correction_in_ten_goes_onto_the_object():
    corrections = [one for plan in plans() for steps in plan.corrections for one in steps]

    assert share(one.onto_truth for one in corrections) == pytest.approx(0.1, abs=0.02)
    assert not any(one.central for one in corrections)


def test_a_share_of_clicks_can_be_central():
    drawn = plans(PromptSchedule(central_clicks=0.3, first_mask=0.0, first_box=0.0))

    first = [one.central for plan in drawn for one in plan.first_prompts]
    later = [one.central for plan in drawn for steps in plan.corrections for one in steps]
    assert share(first) == pytest.approx(0.3, abs=CLOSE)
    assert share(later) == pytest.approx(0.3, abs=CLOSE)


def test_counts_that_are_not_drawn_are_the_most():
    schedule = PromptSchedule(
        max_prompted_frames=2, max_corrected_frames=3, random_counts=False, first_mask=0.0
    )

    assert {len(plan.first_prompts) for plan in plans(schedule)} == {2}
    assert {len(plan.corrected_frames) for plan in plans(schedule)} == {3}


def test_a_short_clip_of_true_masks_keeps_a_frame_to_learn_from():
    drawn = plans(PromptSchedule(max_prompted_frames=5, max_corrected_frames=5), num_frames=3)

    for plan in drawn:
        is_mask = plan.first_prompts[0].kind == "mask"
        assert len(plan.first_prompts) <= (2 if is_mask else 3)


def test_a_corrected_frame_counts_as_prompted_unless_it_shall_not():
    schedule = PromptSchedule(first_mask=0.0, max_prompted_frames=1, random_counts=False)
    unlike = PromptSchedule(
        first_mask=0.0,
        max_prompted_frames=1,
        random_counts=False,
        corrected_frames_are_prompted=False,
    )

    plan, other = schedule.plan(8), unlike.plan(8)

    assert [plan.is_prompted(frame) for frame in plan.corrected_frames] == [True, True]
    assert [other.is_prompted(frame) for frame in other.corrected_frames] == [True, False]


def test_a_frame_without_corrections_has_none():
    plan = PromptSchedule(first_mask=0.0, corrections=0).plan(4)

    assert plan.corrections_on(0) == ()
    assert plan.first_prompt(0) is not None


def test_the_same_seed_draws_the_same_plan():
    drawn = [PromptSchedule().plan(8, torch.Generator().manual_seed(5)) for _ in range(2)]

    assert drawn[0] == drawn[1]
    assert drawn[0] != PromptSchedule().plan(8, torch.Generator().manual_seed(6))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"first_mask": 1.5}, "first_mask is 1.5"),
        ({"max_prompted_frames": 3}, "max_prompted_frames is 3 and max_corrected_frames 2"),
        ({"max_prompted_frames": 0}, "Prompt at least one frame"),
        ({"corrections": -1}, "corrections is -1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(TrainingError, match=message):
        PromptSchedule(**wrong)
