"""Scores on the disk."""

import json

import pytest

from evaluation.comparison.measurements import ClipScore, ClipScores, PhotoScore, PhotoScores
from evaluation.comparison.score_file import ScorePart, Scores, digest, load_scores
from evaluation.measured_model import MeasuredModel
from sam2_hf.errors import DataError

PHOTOS = PhotoScores(2, 8, (PhotoScore("model", "", 0.5), PhotoScore("box", "half", 0.25)))
CLIPS = ClipScores(2, 10, (ClipScore("model", "", "mean", 60.0, 70.0, 65.0),))
SCORES = Scores(
    MeasuredModel("micro", "abc", 10, 20, 64),
    (ScorePart("photos", "model", "1", PHOTOS), ScorePart("clips", "model", "2", CLIPS)),
)


def test_what_was_saved_is_loaded_from_the_file_or_its_folder(tmp_path):
    path = SCORES.save(tmp_path / "new")

    assert load_scores(path) == SCORES
    assert load_scores(tmp_path / "new") == SCORES


def test_scores_without_a_model_are_saved_too(tmp_path):
    Scores(None, SCORES.parts).save(tmp_path)

    assert load_scores(tmp_path).model is None


def test_equal_scores_make_equal_files(tmp_path):
    first, second = SCORES.save(tmp_path / "1"), SCORES.save(tmp_path / "2")

    assert first.read_bytes() == second.read_bytes()


def test_a_part_takes_the_place_of_an_older_one():
    newer = ScorePart("photos", "model", "9", PHOTOS)

    parts = SCORES.with_part(newer).parts

    assert [part.depends for part in parts] == ["2", "9"]


def test_scores_are_listed_by_set():
    assert SCORES.photo_scores("photos") == list(PHOTOS.scores)
    assert SCORES.clip_scores("clips") == list(CLIPS.scores)
    assert SCORES.clip_scores("photos") == SCORES.photo_scores("clips") == []


@pytest.mark.parametrize("content", ["{", "[]", '{"model": null}', '{"model": {}, "parts": [1]}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "scores.json").write_text(content)

    with pytest.raises(DataError, match="holds no scores"):
        load_scores(tmp_path)


def test_a_measured_set_without_its_scores_is_refused(tmp_path):
    path = SCORES.save(tmp_path)
    content = json.loads(path.read_text())
    del content["parts"][0]["measured"]["scores"]
    path.write_text(json.dumps(content))

    with pytest.raises(DataError, match="holds no scores"):
        load_scores(tmp_path)


def test_a_digest_changes_with_names_contents_and_the_model(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("1")
    other.write_text("1")

    digests = {digest([file]), digest([other]), digest([file, other]), digest([file], "model")}
    before = digest([file])
    file.write_text("2")

    assert len(digests) == 4
    assert digest([file]) != before


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png"):
        digest([tmp_path / "gone.png"])
