import datasets
import numpy as np
import pytest
from PIL import Image

from sam2_hf.data.config import SourceConfig
from sam2_hf.data.hub import open_hub
from sam2_hf.errors import DataError
from tests.training.drawn_data import GREEN_BOX, coco_rle, photo, save, square


@pytest.fixture(autouse=True)
def no_bars():
    datasets.disable_progress_bars()


def hub(path, **options):
    return SourceConfig("hub", str(path), options=options)


def save_table(path, columns, features=None):
    made = datasets.Features(features) if features else None
    datasets.Dataset.from_dict(columns, features=made).save_to_disk(str(path))
    return path


def label_picture(labels_hw):
    return Image.fromarray(labels_hw.astype(np.uint8))


def embedded(path, image="image", label_map="label_map"):
    """Save a table whose pictures lie inside it."""
    columns = {
        image: [Image.fromarray(photo()), Image.fromarray(photo())],
        label_map: [label_picture(square()), label_picture(square(GREEN_BOX) * 9)],
    }
    return save_table(path, columns, {image: datasets.Image(), label_map: datasets.Image()})


def test_a_saved_table_with_embedded_pictures_is_read(tmp_path):
    source = open_hub(hub(embedded(tmp_path / "table")))

    clip = source.whole_clip(1)

    assert [source.name(item) for item in range(len(source))] == ["row 0", "row 1"]
    assert np.array_equal(clip.frames_thw3[0], photo())
    assert np.array_equal(clip.masks_othw[0, 0], square(GREEN_BOX))


def test_columns_may_be_called_otherwise(tmp_path):
    path = embedded(tmp_path / "table", "photo", "truth")

    source = open_hub(hub(path, image="photo", label_map="truth"))

    assert np.array_equal(source.whole_clip(0).masks_othw[0, 0], square())


def test_another_column_may_stand_in_for_one_that_is_there(tmp_path):
    columns = {"image": ["a"], "label_map": ["b"], "better": ["c"]}

    source = open_hub(hub(save_table(tmp_path / "t", columns), label_map="better"))

    assert source.table[0].to_pylist() == [{"image": "a", "label_map": "c"}]


def test_a_video_is_pictures_and_run_lengths(tmp_path):
    frames = [str(save(photo(), tmp_path / f"{n}.png")) for n in range(3)]
    segments = [f"[{str(coco_rle(square())).replace(chr(39), chr(34))}]"] * 3
    columns = {"name": ["walk"], "images": [frames], "segments": [segments]}

    source = open_hub(hub(save_table(tmp_path / "table", columns)))

    assert source.name(0) == "walk"
    assert np.array_equal(source.whole_clip(0).masks_othw[0, 2], square())


def test_data_files_are_read_too(tmp_path):
    image = str(save(photo(), tmp_path / "a.png"))
    label_map = str(save(square().astype(np.uint8), tmp_path / "b.png"))
    (tmp_path / "data").mkdir()
    row = f'{{"image": "{image}", "label_map": "{label_map}"}}'
    (tmp_path / "data" / "rows.jsonl").write_text(row)

    source = open_hub(hub(tmp_path / "data"))

    assert np.array_equal(source.whole_clip(0).masks_othw[0, 0], square())


def test_one_part_of_several_is_chosen(tmp_path):
    table = datasets.Dataset.from_dict({"image": ["a", "b"], "label_map": ["c", "d"]})
    datasets.DatasetDict({"train": table, "val": table.select([0])}).save_to_disk(tmp_path / "t")

    assert len(open_hub(hub(tmp_path / "t"))) == 2
    assert len(open_hub(hub(tmp_path / "t", split="val"))) == 1
    with pytest.raises(DataError, match="there is no split test; there are train, val"):
        open_hub(hub(tmp_path / "t", split="test"))


def test_rows_are_chosen_by_name(tmp_path):
    columns = {"name": ["x", "y"], "image": ["a", "b"], "label_map": ["c", "d"]}
    path = save_table(tmp_path / "t", columns)

    source = open_hub(SourceConfig("hub", str(path), only=("y",)))

    assert [source.name(item) for item in range(len(source))] == ["y"]
    assert source.table[0].to_pylist()[0]["image"] == "b"


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"image": ["a"]}, {}, "its columns are image. The kind hub expects"),
        ({"text": ["a"]}, {}, "its columns are of other names. The kind hub"),
        ({"photo": ["a"]}, {"image": "picture"}, "has no column picture. It has: photo"),
        ({"image": ["a"]}, {"images_of": "a"}, "has no option images_of"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, columns, options, said):
    path = save_table(tmp_path / "t", columns)

    with pytest.raises(DataError, match=said):
        open_hub(hub(path, **options))


def test_a_folder_without_a_table_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"cannot be loaded.*The kind hub expects"):
        open_hub(hub(tmp_path))
