"""Run lengths in the form of SA-V, and the table of scores."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sam2_hf import OutputError, rle
from sam2_hf.writers.masklet_json import VideoFacts, write_masklets, write_scores
from tests.pipelines.tracked import SIZE, square, tracked_frame, tracked_object

FACTS = VideoFacts("clip", SIZE, 6, 25.0, "tiny", (3, 8))
FRAMES = [
    tracked_frame(1, tracked_object(3, 1, prompted=True), tracked_object(8, -1), time_s=0.04),
    tracked_frame(2, tracked_object(3, -1), tracked_object(8, 4), time_s=0.08),
    tracked_frame(4, tracked_object(3, 5, iou=0.1234567, score=-1.5), tracked_object(8, 2)),
]


@pytest.fixture
def content(tmp_path):
    return json.loads(write_masklets(tmp_path / "clip.json", FACTS, FRAMES).read_text())


def test_the_fields_of_sa_v_describe_the_video(content):
    assert content["video_id"] == "clip"
    assert (content["video_height"], content["video_width"]) == SIZE
    assert content["video_resolution"] == 80
    assert (content["video_frame_count"], content["video_duration"]) == (6, 0.24)
    assert (content["masklet_num"], content["masklet_id"]) == (2, [3, 8])


def test_named_objects_have_their_names_by_id(content, tmp_path):
    assert "object_names" not in content  # none is named

    named = replace(FACTS, names={8: "cup"})
    path = write_masklets(tmp_path / "clip.json", named, FRAMES)

    assert json.loads(path.read_text())["object_names"] == {"8": "cup"}


def test_the_masks_lie_by_frame_and_object(content):
    masklet = content["masklet"]

    assert [[one is not None for one in row] for row in masklet] == [
        *([[False] * 2, [True] * 2, [True] * 2, [False] * 2, [True] * 2, [False] * 2])
    ]
    np.testing.assert_array_equal(rle.decode(rle.from_coco(masklet[4][0])), square(5))
    assert rle.area(rle.from_coco(masklet[1][1])) == 0  # tracked, and hidden


def test_scores_lie_like_masks(content):
    assert content["masklet_predicted_iou"][4] == [0.123457, 0.9]
    assert content["masklet_object_score"][4] == [-1.5, 5.0]
    assert content["masklet_object_score"][3] == [None, None]


def test_each_object_is_summed_up(content):
    assert content["masklet_size_abs"] == [6.0, 6.0]
    assert content["masklet_size_rel"] == [0.075, 0.075]
    assert content["masklet_size_bucket"] == ["small", "small"]
    assert content["masklet_visibility_changes"] == [2, 0]
    assert content["masklet_first_appeared_frame"] == [1, 2]
    assert content["masklet_frame_count"] == [3, 3]
    assert content["masklet_edited_frame_count"] == [1, 0]


def test_an_object_that_is_never_seen_has_no_first_frame(tmp_path):
    frames = [tracked_frame(0, tracked_object(3, -1), tracked_object(8, -1))]

    content = json.loads(write_masklets(tmp_path / "clip.json", FACTS, frames).read_text())

    assert content["masklet_first_appeared_frame"] == [None, None]
    assert content["masklet_size_abs"] == [0.0, 0.0]


def test_a_video_of_unknown_time_has_no_duration(tmp_path):
    facts = VideoFacts("frames", SIZE, 6, None, "tiny", (3, 8))

    content = json.loads(write_masklets(tmp_path / "clip.json", facts, FRAMES).read_text())

    assert (content["video_duration"], content["video_fps"]) == (None, None)


def test_the_table_has_a_line_for_each_object_and_frame(tmp_path):
    lines = write_scores(tmp_path / "clip.csv", FRAMES).read_text().splitlines()

    assert lines[0] == "frame,time_s,object_id,predicted_iou,object_score,area,prompted"
    assert lines[1] == "1,0.040000,3,0.900000,5.000000,6,1"
    assert lines[2] == "1,0.040000,8,0.900000,5.000000,0,0"
    assert lines[5] == "4,,3,0.123457,-1.500000,6,0"  # of unknown time
    assert len(lines) == 7


@pytest.mark.parametrize(
    "write",
    [lambda path: write_masklets(path, FACTS, FRAMES), lambda path: write_scores(path, FRAMES)],
)
def test_a_folder_that_cannot_be_written_to_is_an_error_of_ours(tmp_path, write):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "file" / "x")
