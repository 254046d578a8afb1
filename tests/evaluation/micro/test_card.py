"""The card of the bundled model."""

import json
import shutil
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from evaluation.comparison.measurements import (
    ALL_CLIPS,
    ClipScore,
    ClipScores,
    PhotoScore,
    PhotoScores,
)
from evaluation.comparison.score_file import ScorePart, Scores
from evaluation.measured_model import describe_model
from evaluation.micro.card import Making, main, model_card, verdict
from sam2_hf.errors import DataError

FLOW = (ClipScore("optical flow", "fast", ALL_CLIPS, 60.0, 64.0, 62.0),)


def scores_of(model, mean_iou, j_and_f):
    photos = (PhotoScore("model", "", mean_iou), PhotoScore("flood fill", "20", 0.35))
    clips = (ClipScore("model", "", ALL_CLIPS, j_and_f, j_and_f, j_and_f), *FLOW)
    parts = (
        ScorePart("bsds500/val", "model", "", PhotoScores(2, 8, photos)),
        ScorePart("swans", "model", "", ClipScores(2, 10, clips)),
    )
    return Scores(model, parts)


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    place = tmp_path / "sam2-hiera-micro"
    shutil.copytree(tiny_checkpoint, place)
    return place


@pytest.fixture
def scores(folder, tiny_video_model):
    return scores_of(describe_model(str(folder), tiny_video_model), 0.47, 68.0)


def test_the_hub_reads_license_data_and_results(scores, folder):
    data = ModelCard(model_card(scores, folder, Making())).data

    assert (data.license, data.license_name) == ("other", "research-use")
    assert data.model_name == "sam2-hiera-micro"
    results = {one.dataset_name: one.metric_value for one in data.eval_results}
    assert results == {"bsds500/val": 0.47, "swans": 68.0}


def test_the_card_says_what_was_measured_what_it_is_for_and_what_to_prefer(scores, folder):
    card = model_card(scores, folder, Making())

    assert "| **sam2-hiera-micro** | **0.470** | **68.0** |" in card
    assert "For research and education only" in card
    assert "facebook/sam2.1-hiera-tiny" in card
    assert "(float32), input 64 x 64 pixels" in card
    assert "16 pixels on a side" in card
    assert scores.model.sha256 in card


def test_checks_of_the_same_weights_are_listed_and_those_of_others_refused(
    scores, folder, tmp_path
):
    path = tmp_path / "checks.json"
    path.write_text(
        json.dumps({"sha256": scores.model.sha256, "checks": {"hard clip, J&F": 51.26}})
    )

    assert "| hard clip, J&F | 51.26 |" in model_card(scores, folder, Making(), path)

    path.write_text(json.dumps({"sha256": "0" * 64, "checks": {}}))
    with pytest.raises(DataError, match=r"evaluation\.micro\.checks"):
        model_card(scores, folder, Making(), path)
    no_number = {"sha256": scores.model.sha256, "checks": {"hard clip, J&F": "high"}}
    for content in ("[]", json.dumps(no_number)):
        path.write_text(content)
        with pytest.raises(DataError, match="holds no checks"):
            model_card(scores, folder, Making(), path)


def test_every_file_beside_the_card_is_named_and_no_other(scores, folder):
    (folder / "training.csv").write_text("step,loss,seconds,skipped\n10,1,3600,0\n20,0.5,7200,3\n")
    (folder / "curves.png").write_bytes(b"")
    (folder / "recipe-1.yaml").write_text("")

    card = model_card(scores, folder, Making("train it", "two cores"))

    assert "It took 20 steps and 2.0 hours on two cores." in card
    assert " 3 times, a photo or clip had no usable object and was replaced." in card
    assert "```\ntrain it\n```" in card
    assert "(training.csv)" in card
    assert "(curves.png)" in card
    assert "[recipe-1.yaml](recipe-1.yaml): every setting of part 1" in card
    assert "recipe-2.yaml" not in card
    assert "validation.csv" not in card


def test_a_part_that_ended_early_is_told(scores, folder):
    (folder / "training.csv").write_text("step,loss,part\n10,1,1\n40,1,1\n60,1,2\n")
    for number, steps in ((1, 4000), (2, 20)):
        recipe = f"model: m\noutput: o\nsteps: {steps}\ndata: [{{kind: regions}}]\n"
        (folder / f"recipe-{number}.yaml").write_text(recipe)

    card = model_card(scores, folder, Making())

    assert "It took 60 steps. Part 1 was stopped after 40 of its 4,000 steps.\n" in card


@pytest.mark.parametrize(
    ("mean_iou", "j_and_f", "words"),
    [
        (0.46, 73.0, ["clearly better than the best baseline (+0.110", "clearly better"]),
        (0.40, 70.0, ["better, but not clearly, than the best baseline (+0.050", "(+8.0 J&F)"]),
        (0.30, 62.0, ["not better than the best baseline (-0.050", "not better"]),
    ],
)
def test_the_verdict_is_what_the_numbers_say(mean_iou, j_and_f, words):
    lines = verdict(scores_of(None, mean_iou, j_and_f)).splitlines()

    assert [word in line for word, line in zip(words, lines[:2], strict=True)] == [True, True]


def test_a_run_without_damaged_items_has_nothing_to_tell_about_them(scores, folder):
    (folder / "training.csv").write_text("step,loss,skipped\n10,1,0\n")

    card = model_card(scores, folder, Making())

    assert "It took 10 steps.\n" in card
    assert "replaced" not in card


def test_scores_of_other_weights_are_refused(scores, folder):
    other = replace(scores, model=replace(scores.model, sha256="f" * 64))

    with pytest.raises(DataError, match=r"scores are of ffffffffffff, but .* holds"):
        model_card(other, folder, Making())


def test_scores_without_a_model_and_folders_without_weights_are_refused(scores, tmp_path, folder):
    with pytest.raises(DataError, match="no model"):
        model_card(replace(scores, model=None), folder, Making())
    with pytest.raises(DataError, match="no weights"):
        model_card(scores, tmp_path / "empty", Making())


def test_the_program_writes_it_into_the_folder(scores, folder, tmp_path, capsys):
    scores.save(tmp_path / "scores")

    assert main([str(tmp_path / "scores"), str(folder), "--hardware", "two cores"]) == 0

    assert capsys.readouterr().out.strip() == str(folder / "README.md")
    assert (folder / "README.md").read_text().startswith("---\n")


def test_without_scores_it_is_an_error_in_one_line(folder, tmp_path, capsys):
    assert main([str(tmp_path / "nothing"), str(folder)]) == 2

    assert capsys.readouterr().err.startswith("error: ")
    assert not (folder / "README.md").exists()
