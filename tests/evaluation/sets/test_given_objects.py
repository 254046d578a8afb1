"""Objects of videos that do not say where each is given: SA-V's masklets, and rows for training."""

import json
import shutil

import pytest

from evaluation.sets.open_set import open_set
from evaluation.vos.scoring import score_video
from evaluation.vos.tracking import track_video
from sam2_hf.data.rows import embedded
from sam2_hf.errors import DataError
from sam2_hf.writers.mask_png import write_object_png
from tests.small_sets import SIZE, boxes, write_masklets


@pytest.mark.parametrize("as_video", [True, False])
def test_masks_objects_and_frames_are_those_of_the_files(tmp_path, as_video):
    write_masklets(tmp_path / "sav_train" / "sav_000", as_video=as_video)

    (video,) = open_set("sav-train", str(tmp_path))

    assert (video.name, video.num_frames, video.size) == ("sav_1", 13, SIZE)
    assert video.given == {0: 0, 1: 4, 2: 0}
    assert list(video.annotated) == [0, 4, 8, 12]
    assert (video.annotated_for(1), video.annotated_for(2)) == ([4, 8, 12], [0, 4, 8])
    for frame in (0, 8):
        assert (video.masks(frame)[0] == (boxes(frame) == 1)).all()
        # brighter than the background where the objects are
        assert (video.picture(frame)[boxes(frame) > 0] > 80).mean() > 0.9
        assert (video.picture(frame)[boxes(frame) == 0] < 80).mean() > 0.9
    assert set(video.masks(12)) == {0, 1}


def test_a_table_stands_alone_with_the_video_in_it(tmp_path):
    root = write_masklets(tmp_path / "set")
    (known,) = open_set("sav-train", str(root))
    picture = known.picture(7)
    embedded(open_set("sav-train", str(root)).table).to_parquet(tmp_path / "set.parquet")
    shutil.rmtree(root)

    (video,) = open_set("sav-train", str(tmp_path / "set.parquet"))

    assert (video.picture(7) == picture).all()
    assert (video.masks(4)[2] == (boxes(4) > 0)).all()


def test_the_truth_scores_a_hundred_and_unknown_frames_do_not_count(tmp_path):
    write_masklets(tmp_path / "set", frames=21)
    (video,) = open_set("sav-train", str(tmp_path / "set"))
    for frame in range(21):
        masks = {0: boxes(frame) == 1, 1: (boxes(frame) == 2) & (frame >= 4), 2: boxes(frame) > 0}
        for number, mask_hw in masks.items():
            path = tmp_path / "out" / "sav_1" / f"{number:03d}" / f"{frame:05d}.png"
            write_object_png(path, mask_hw)

    scored = score_video(video, tmp_path / "out")

    assert {number: one.score.j_and_f for number, one in scored.items()} == {0: 100, 1: 100, 2: 100}
    # frames 0 to 20, every fourth; the first and the last of each object do not count
    assert {number: len(one.frames) for number, one in scored.items()} == {0: 4, 1: 3, 2: 3}


def test_an_object_that_comes_later_is_given_where_it_is_first_seen(tmp_path, tiny_video_model):
    write_masklets(tmp_path)
    (video,) = open_set("sav-train", str(tmp_path))

    results = list(track_video(video, tiny_video_model))

    assert [sorted(one.masks) for one in results[3:5]] == [[0, 2], [0, 1, 2]]


def test_masks_beyond_the_end_of_the_video_are_an_error(tmp_path):
    write_masklets(tmp_path, frames=9)
    path = tmp_path / "sav_1_manual.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"masklet": content["masklet"] * 2}))

    with pytest.raises(DataError, match="annotates frame 20, but sav_1 has 9 frames"):
        open_set("sav-train", str(tmp_path))


def test_an_empty_folder_says_what_it_should_hold(tmp_path):
    with pytest.raises(DataError, match="expects videos sav_1"):
        open_set("sav-train", str(tmp_path))
