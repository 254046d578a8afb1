"""Whole runs that learn densely, alone and beside prompts."""

import csv

import pytest

from tests.training.small_runs import settings, train, validated

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_dense_run_is_validated_by_prompts_as_any_other(world):
    photos = {"kind": "pairs", "path": str(world / "pairs"), "batch_size": 2, "augment": {}}
    content = settings(world, dense={"clicks": 8}, data=[photos], validation=validated(world))
    content["validation"]["sources"] = content["validation"]["sources"][:1]

    run = train(content)

    with (run / "valid.csv").open(encoding="utf-8", newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores)
    assert (run / "best" / "model.safetensors").is_file()


def test_a_run_learns_densely_beside_prompts_and_clips(world):
    run = train(settings(world, dense={"clicks": 8, "beside_prompts": 0.5}, steps=2))

    assert (run / "last" / "model.safetensors").is_file()
