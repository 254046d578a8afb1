import pytest

from sam2_hf.data.rows import ClipRow, make_table
from sam2_hf.errors import DataError


def test_a_table_has_the_columns_that_are_used():
    rows = [ClipRow("a", images=["a.jpg"], label_maps=[["a.png"]])]

    assert make_table(rows).column_names == ["name", "images", "label_maps"]


def test_a_row_comes_back_from_its_table():
    row = ClipRow("a", images=["a.jpg"], segments=["[null]"], size=(4, 6))

    found = ClipRow.from_columns(make_table([row])[0])

    assert (found.name, found.images, found.segments) == ("a", ["a.jpg"], ["[null]"])
    assert found.size == (4, 6)


def test_photos_may_have_short_columns():
    row = ClipRow.from_columns({"image": "a.jpg", "label_map": "a.png", "other": 3})

    assert (row.images, row.label_maps) == (["a.jpg"], [["a.png"]])


def test_embedded_pictures_are_their_bytes_or_their_path():
    columns = {
        "images": [{"bytes": None, "path": "a.jpg"}, {"bytes": b"b", "path": "b.jpg"}],
        "label_maps": [[{"bytes": b"c", "path": None}]],
    }

    row = ClipRow.from_columns(columns)

    assert (row.images, row.label_maps) == (["a.jpg", b"b"], [[b"c"]])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"name": "a", "label_maps": [["a.png"]]}, "a: neither images nor a video"),
        ({"name": "a", "images": ["a.jpg"], "masks": None}, "a: no annotation"),
    ],
)
def test_a_row_that_lacks_something_says_what(columns, said):
    with pytest.raises(DataError, match=said):
        ClipRow.from_columns(columns)
