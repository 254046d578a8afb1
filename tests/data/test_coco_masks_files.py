import json

import pytest

from sam2_hf.data.coco_masks import read_segments_file
from sam2_hf.errors import DataError


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, every=4):
        path = tmp_path / "masks.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_segments_file(str(path), every)

    return write_and_read


def test_a_file_of_sa1b_annotates_one_frame(read):
    frames = read({"annotations": [{"segmentation": "a"}, {"segmentation": "b"}]})

    assert [(frame.number, frame.segmentations) for frame in frames] == [(0, ["a", "b"])]


def test_a_file_of_sav_annotates_every_fourth_frame(read):
    frames = read({"masklet": [["a"], ["b"]]})

    assert [frame.number for frame in frames] == [0, 4]


def test_frames_without_any_annotation_do_not_count(read):
    frames = read({"masklet": [["a", None], [], None, [None, None], ["b", "c"]]})

    assert [frame.number for frame in frames] == [0, 16]
    assert frames[0].segmentations == ["a", None]


@pytest.mark.parametrize("fps", [12, 12.0, [12]])
def test_a_stated_rate_tells_how_far_apart_annotated_frames_are(read, fps):
    assert [frame.number for frame in read({"masks": [["a"], ["b"]], "fps": fps})] == [0, 2]


def test_a_bare_list_is_one_of_frames(read):
    assert [frame.number for frame in read([["a"], ["b"]], every=1)] == [0, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"masklet": [[', "not valid JSON"),
        ({"video": 1}, 'Expected {"annotations"'),
        ({"annotations": [{"mask": 1}]}, "known form"),
        ({"masklet": [["a"]], "fps": 0}, r"masks.json: fps is 0, .* divide 24"),
        ({"masklet": [["a"]], "fps": 30}, "fps is 30, but videos have 24"),
        ({"masklet": [["a"]], "fps": [5]}, "fps is 5, "),
        ({"masklet": [["a"]], "fps": -6}, "fps is -6, "),
        ({"masklet": [["a"]], "fps": "fast"}, "known form"),
        ({"masklet": [None, []]}, r"annotates none of its 2 frame\(s\)"),
        ("7", "known form"),
    ],
)
def test_other_files_are_refused_with_what_was_expected(read, content, said):
    with pytest.raises(DataError, match=said):
        read(content)


def test_a_missing_file_is_named():
    with pytest.raises(DataError, match=r"nowhere.json cannot be read"):
        read_segments_file("nowhere.json", 1)
