"""Options of `sam2-hf label`."""

import argparse

import pytest

from sam2_hf.cli.arguments import read_arguments
from sam2_hf.cli.labeling.label_options import PHASES, RULES, SEARCH, set_formats
from sam2_hf.engine import phases
from sam2_hf.engine.set_export import EXPORTS
from sam2_hf.engine.settings import AcceptRules
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.results.formats import SET_FORMATS


def test_the_options_are_those_of_the_engine():
    assert tuple(phases.PHASES) == PHASES
    assert {name for name, _ in RULES.values()} == set(AcceptRules.__dataclass_fields__)
    assert {flag[2:].replace("-", "_") for flag in SEARCH} <= set(
        EverythingOptions.__dataclass_fields__
    )
    assert set(EXPORTS) == set(SET_FORMATS)


def test_videos_stand_between_options():
    arguments = read_arguments(["label", "a.mp4", "--out", "set", "b.mp4", "--min-iou", "0.5"])

    assert arguments.videos == ["a.mp4", "b.mp4"]
    assert arguments.predicted_iou == 0.5
    assert arguments.stability is None


def test_formats_are_listed_and_others_refused():
    assert set_formats("parquet,sav") == ("sav", "parquet")
    with pytest.raises(argparse.ArgumentTypeError, match="no format 'mp4'"):
        set_formats("mp4")
