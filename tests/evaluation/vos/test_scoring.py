"""Predictions as files, and their scores."""

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from evaluation.metrics import score_sequence
from evaluation.sets.open_set import open_set
from evaluation.vos.prediction_files import (
    files_of,
    is_finished,
    read_labels,
    write_frame,
    zip_for_server,
)
from evaluation.vos.scoring import score_video, scored_frames
from sam2_hf.errors import DataError
from tests.small_sets import (
    boxes,
    write_davis,
    write_labels,
    write_late,
    write_lvos,
    write_masklets,
    write_sav,
)


@pytest.fixture
def cat(tmp_path):
    return open_set("davis17-val", str(write_davis(tmp_path / "set")))[0]


@pytest.fixture
def sav(tmp_path):
    return open_set("sav-val", str(write_sav(tmp_path / "set", frames=13)))[0]


def predict(video, out, truth_of, delay=0):
    """Write the truth of `delay` frames before as the prediction of every frame."""
    for frame in range(video.num_frames):
        masks = truth_of(max(frame - delay, 0))
        write_frame(video, frame, SimpleNamespace(masks=masks), out)


def davis_truth(frame):
    return {number: boxes(frame) == number for number in (1, 2)}


def sav_truth(frame):
    return {0: boxes(frame) == 1, 1: boxes(frame) > 0}


def test_the_truth_scores_a_hundred(cat, sav, tmp_path):
    predict(cat, tmp_path / "out", davis_truth)
    predict(sav, tmp_path / "out", sav_truth)

    for video in (cat, sav):
        scores = [one.score for one in score_video(video, tmp_path / "out").values()]
        assert [(one.j, one.f) for one in scores] == [(100, 100)] * 2


def test_a_delayed_copy_scores_what_arithmetic_says(cat, sav, tmp_path):
    predict(cat, tmp_path / "out", davis_truth, delay=1)
    predict(sav, tmp_path / "out", sav_truth, delay=2)

    one_behind, two_behind = 100 * 8 / 10, 100 * 7 / 11  # of boxes 9 pixels wide
    assert score_video(cat, tmp_path / "out")[1].score.j == pytest.approx(one_behind)
    assert score_video(sav, tmp_path / "out")[0].score.j == pytest.approx(two_behind)


def test_files_hold_what_was_predicted_and_give_the_scores_of_the_arrays(cat, tmp_path):
    predict(cat, tmp_path, davis_truth, delay=2)

    predicted_thw = np.stack([read_labels(cat, frame, tmp_path) for frame in range(5)])
    truth_thw = np.stack([boxes(frame) for frame in range(5)])
    expected = score_sequence(truth_thw, predicted_thw)
    found = score_video(cat, tmp_path)
    assert {number: (one.score.j, one.score.f) for number, one in found.items()} == expected


def test_names_of_files_are_those_of_the_official_inference(cat, sav, tmp_path):
    predict(cat, tmp_path, davis_truth)
    predict(sav, tmp_path, sav_truth)

    assert sorted(one.name for one in (tmp_path / "cat").iterdir())[0] == "00000.png"
    assert (tmp_path / "sav_1" / "001" / "00012.png").is_file()
    assert set(np.unique(Image.open(tmp_path / "sav_1" / "001" / "00000.png"))) == {0, 1}
    assert Image.open(tmp_path / "cat" / "00000.png").getpalette()[3:6] == [128, 0, 0]


def test_an_object_that_only_its_given_frame_shows_is_left_out(tmp_path):
    root = write_sav(tmp_path / "set", frames=13)
    for frame in (4, 8):
        path = root / "Annotations_6fps" / "sav_1" / "000" / f"{frame:05d}.png"
        Image.fromarray(np.zeros((24, 36), np.uint8)).save(path)
    (video,) = open_set("sav-val", str(root))
    predict(
        video, tmp_path / "out", lambda frame: {0: np.zeros((24, 36), bool), 1: boxes(frame) > 0}
    )

    assert list(score_video(video, tmp_path / "out")) == [1]


def test_an_object_that_comes_late_counts_from_where_it_is_first_seen(tmp_path):
    (owl,) = open_set("folder", str(write_late(tmp_path / "set") / "valid"))
    predict(owl, tmp_path / "out", lambda frame: {1: boxes(frame) == 1})

    scores = score_video(owl, tmp_path / "out")

    assert scores[1].score.j == 100
    assert [one.j for one in scores[2].frames] == [0]


def test_an_object_with_too_few_frames_is_left_out_and_the_others_are_scored(tmp_path):
    write_masklets(tmp_path / "set", first=8)  # object 1 is annotated on frames 8 and 12 alone
    (video,) = open_set("sav-train", str(tmp_path / "set"))
    truth = {0: 1, 1: 2}
    predict(
        video,
        tmp_path / "out",
        lambda frame: {number: boxes(frame) == label for number, label in truth.items()},
    )

    assert sorted(score_video(video, tmp_path / "out")) == [0, 2]


def test_of_lvos_every_object_counts_on_its_own_frames_seen_or_not(tmp_path):
    root = write_lvos(tmp_path / "set")
    hidden = root / "Annotations" / "owl" / "00000015.png"
    write_labels(hidden, boxes(3, (1,)))
    (owl,) = open_set("lvos-v2-val", str(root))
    predict(owl, tmp_path / "out", lambda frame: {1: boxes(frame % 4) == 1})

    scores = score_video(owl, tmp_path / "out")

    # frames 0 to 25 and 10 to 25, every fifth, without the first and the last
    assert [one.j for one in scores[1].frames] == [1, 1, 1, 1]
    assert [one.j for one in scores[2].frames] == [1, 0]  # hidden on 15, missed on 20
    assert list(scored_frames(owl, 2, 2)) == [15, 20]


@pytest.mark.parametrize("gone", ["missing", "damaged", "other size"])
def test_a_prediction_that_cannot_be_scored_is_told_by_its_file(cat, tmp_path, gone):
    predict(cat, tmp_path, davis_truth)
    path = tmp_path / "cat" / "00002.png"
    if gone == "missing":
        path.unlink()
    elif gone == "damaged":
        path.write_bytes(path.read_bytes()[:40])
    else:
        Image.fromarray(np.zeros((12, 18), np.uint8)).save(path)

    assert not is_finished(cat, tmp_path)
    with pytest.raises(DataError, match=r"cat/00002\.png"):
        score_video(cat, tmp_path)


def test_a_whole_prediction_is_finished(cat, sav, tmp_path):
    for video, truth in ((cat, davis_truth), (sav, sav_truth)):
        predict(video, tmp_path, truth)

        assert is_finished(video, tmp_path)
        assert len(list(files_of(video, tmp_path))) == (26 if video is sav else 5)


def test_a_number_that_davis_does_not_know_is_an_error_and_no_score(cat, tmp_path):
    predict(cat, tmp_path, lambda frame: {**davis_truth(frame), 7: boxes(frame) == 0})

    with pytest.raises(DataError, match="cat, frame 00001: the prediction has the object 7"):
        score_video(cat, tmp_path)


def test_an_archive_for_a_server_holds_all_frames_of_all_videos(cat, tmp_path):
    predict(cat, tmp_path / "out", davis_truth)

    first, again = (
        zip_for_server([cat], tmp_path / "out", tmp_path / f"{name}.zip") for name in "ab"
    )

    names = zipfile.ZipFile(first).namelist()
    assert names == [f"cat/{frame:05d}.png" for frame in range(5)]
    assert first.read_bytes() == again.read_bytes()


def test_an_archive_of_half_a_run_is_refused(cat, tmp_path):
    with pytest.raises(DataError, match="Finish the run"):
        zip_for_server([cat], tmp_path / "out", tmp_path / "a.zip")
