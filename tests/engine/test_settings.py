"""Settings of a set: what is accepted, and what may not change."""

import json

import pytest

from sam2_hf.engine.settings import AcceptRules, LabelSettings
from sam2_hf.errors import DataError, SessionError


def test_a_masklet_is_accepted_if_every_score_that_it_has_is_high_enough():
    rules = AcceptRules(predicted_iou=0.8, stability=0.5)

    good = {"predicted_iou": 0.8, "object_score": 1.0, "stability": None, "agreement": 0.9}
    assert rules.reasons(good) == []
    assert rules.reasons({**good, "predicted_iou": 0.79, "stability": 0.2}) == [
        "predicted IoU 0.79 is below 0.8",
        "stability 0.20 is below 0.5",
    ]


def test_settings_come_back_from_their_file():
    settings = LabelSettings("tiny", phase="phase2", options={"points_per_side": 8}, threads=2)

    assert LabelSettings.from_json(json.loads(json.dumps(settings.as_json())), "x") == settings


@pytest.mark.parametrize("change", [{"version": 99}, {"rules": 3}, {"modle": "tiny"}])
def test_other_files_are_refused(change):
    with pytest.raises(DataError):
        LabelSettings.from_json({**LabelSettings("tiny").as_json(), **change}, "set.json")


def test_a_set_is_not_continued_with_other_settings():
    with pytest.raises(SessionError, match=r"set was begun with phase 'phase3', not 'phase1'"):
        LabelSettings("tiny", phase="phase1").require_same(LabelSettings("tiny"), "set")
