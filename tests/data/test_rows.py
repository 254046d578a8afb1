import json

import pytest

from sam2_hf.data.rows import VideoRow, make_table
from sam2_hf.errors import DataError


def test_a_table_has_the_columns_that_are_used():
    rows = [VideoRow("a", images=["a.jpg"], label_maps=[["a.png"]])]

    assert make_table(rows).column_names == ["name", "images", "label_maps"]


def test_a_row_comes_back_from_its_table():
    row = VideoRow("a", images=["a.jpg"], segments=["[null]"], size=(4, 6))

    found = VideoRow.from_columns(make_table([row])[0])

    assert (found.name, found.images, found.segments) == ("a", ["a.jpg"], ["[null]"])
    assert found.size == (4, 6)


def test_photos_may_have_short_columns():
    row = VideoRow.from_columns({"image": "a.jpg", "label_map": "a.png", "other": 3})

    assert (row.images, row.label_maps) == (["a.jpg"], [["a.png"]])


def test_embedded_pictures_are_their_bytes_or_their_path():
    columns = {
        "images": [{"bytes": None, "path": "a.jpg"}, {"bytes": b"b", "path": "b.jpg"}],
        "label_maps": [[{"bytes": b"c", "path": None}]],
    }

    row = VideoRow.from_columns(columns)

    assert (row.images, row.label_maps) == (["a.jpg", b"b"], [[b"c"]])


EARLIER = {  # as evaluations saved tables before training and evaluation shared one row
    "video": "a",
    "frames": [{"bytes": None, "path": f"{number}.jpg"} for number in range(3)],
    "frame_names": ["0", "1", "2"],
    "annotated": [0, 2],
    "label_maps": [],
    "object_ids": [4, 7],
    "first_frames": [0, 2],
    "object_masks": [],
    "video_file": None,
    "object_runs": [],
    "size": [],
    "object_frames": [],
    "unseen": None,
}


def test_label_maps_of_an_earlier_evaluation_are_read():
    maps = [{"bytes": None, "path": f"{number}.png"} for number in (0, 2)]

    row = VideoRow.from_columns(EARLIER | {"label_maps": maps})

    assert (row.name, row.video, row.images[2]) == ("a", "", "2.jpg")
    assert (row.label_maps, row.annotated) == ([["0.png"], ["2.png"]], [0, 2])
    assert (row.object_ids, row.first_frames, row.unseen) == ([4, 7], [0, 2], None)


def test_masks_by_object_of_an_earlier_evaluation_are_turned_to_frames():
    masks = [[b"a0", b"a2"], [None, {"bytes": b"b2", "path": None}]]

    row = VideoRow.from_columns(EARLIER | {"object_masks": masks})

    assert row.masks == [[b"a0", ""], [b"a2", b"b2"]]


def test_run_lengths_by_object_of_an_earlier_evaluation_become_segments():
    runs = {"object_runs": [["x", "y"], [None, "z"]], "size": [4, 6], "video_file": "a.mp4"}

    row = VideoRow.from_columns(EARLIER | {"frames": []} | runs)

    counts = [[one and (one["size"], one["counts"]) for one in json.loads(s)] for s in row.segments]
    assert counts == [[([4, 6], "x"), None], [([4, 6], "y"), ([4, 6], "z")]]
    assert (row.video, row.images, row.size) == ("a.mp4", [], (4, 6))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label_maps": ["0.png"]}, "a has 1 label_maps where there must be 2"),
        ({"object_masks": [[b"a", b"b"], [b"a"]]}, "a has 1 object_masks where there must be 2"),
        ({"object_masks": [[b"a", b"b"]]}, "not the object_masks of each"),
        ({"object_runs": [["x", "y"]] * 2}, r"run lengths of the size \[\]"),
        (
            {"frames": ["0.jpg"], "label_maps": ["0.png"] * 2},
            "a has 1 images where there must be 3",
        ),
    ],
)
def test_an_earlier_row_that_is_not_complete_is_refused(changes, said):
    with pytest.raises(DataError, match=said):
        VideoRow.from_columns(EARLIER | changes)


def test_a_table_keeps_gaps_between_masks_and_false_answers():
    row = VideoRow("a", images=["0", "1"], masks=[["", "m"], ["n", ""]], unseen=False)

    found = VideoRow.from_columns(make_table([row])[0])

    assert (found.masks, found.unseen) == ([["", "m"], ["n", ""]], False)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"name": "a", "label_maps": [["a.png"]]}, "a: neither images nor a video"),
        ({"name": "a", "images": ["a.jpg"], "masks": None}, "a: no annotation"),
    ],
)
def test_a_row_that_lacks_something_says_what(columns, said):
    with pytest.raises(DataError, match=said):
        VideoRow.from_columns(columns)
