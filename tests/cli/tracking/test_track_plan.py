"""What a run is to do, and whether another one would do the same."""

import json
from dataclasses import asdict, replace

import pytest

from sam2_hf.cli.tracking.track_plan import Run, TrackPlan
from sam2_hf.errors import SessionError

PLAN = TrackPlan(
    video="clip.mp4",
    height=48,
    width=64,
    num_frames=10,
    prompts=("--click 3:1:5,6", "--click 3:1:7,8,-"),
    model="tiny",
    dtype="float32",
    direction="both",
    start=3,
    limit=None,
    no_overlap=False,
)


@pytest.mark.parametrize(
    ("direction", "limit", "runs"),
    [
        ("both", None, [Run("forward", 3, 7), Run("backward", 2, 3)]),
        ("both", 2, [Run("forward", 3, 2), Run("backward", 2, 2)]),
        ("forward", 99, [Run("forward", 3, 7)]),
        ("backward", None, [Run("backward", 3, 4)]),
    ],
)
def test_the_runs_cover_each_frame_once(direction, limit, runs):
    assert replace(PLAN, direction=direction, limit=limit).runs() == runs


def test_nothing_lies_before_the_first_frame():
    assert replace(PLAN, start=0).runs()[1].count == 0


def test_a_run_knows_its_frames():
    assert [Run("forward", 3, 2).frame(place) for place in range(2)] == [3, 4]
    assert [Run("backward", 3, 2).frame(place) for place in range(2)] == [3, 2]


def test_the_same_plan_comes_back_from_json():
    again = TrackPlan.from_fields({**asdict(PLAN), "prompts": list(PLAN.prompts)})

    assert again == PLAN
    PLAN.require_same(again)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_frames": 11}, "num frames was 10, is 11"),
        ({"model": "large"}, "model was tiny, is large"),
        ({"no_overlap": True}, "no overlap was False, is True"),
        ({"prompts": ("--click 3:1:5,6",)}, "--click 3:1:7,8,- is gone"),
        ({"prompts": (*PLAN.prompts, "--box 0:1:1,2,3,4")}, "new is --box 0:1:1,2,3,4"),
        ({"prompts": PLAN.prompts[::-1]}, "a different order"),
    ],
)
def test_what_differs_is_named(change, told):
    with pytest.raises(SessionError, match="the command differs") as caught:
        PLAN.require_same(replace(PLAN, **change))

    assert told in str(caught.value)


def test_a_plan_of_another_version_is_refused():
    with pytest.raises(SessionError, match="another version"):
        TrackPlan.from_fields({"video": "clip.mp4"})


def test_a_plan_from_before_there_was_a_range_has_none():
    content = json.loads(json.dumps(asdict(PLAN)))
    del content["value_range"]

    assert TrackPlan.from_fields(content) == PLAN


@pytest.mark.parametrize("value_range", [(0.0, 4095.0), "percentile", None])
def test_the_range_comes_back_from_json(value_range):
    plan = replace(PLAN, value_range=value_range)

    assert TrackPlan.from_fields(json.loads(json.dumps(asdict(plan)))) == plan
