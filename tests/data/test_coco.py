import json

import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.data.coco import read_coco
from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from tests.training.drawn_data import (
    GREEN_BOX,
    HEIGHT,
    WIDTH,
    coco_rle,
    photo,
    save,
    square,
    write_coco,
)


def coco(path, **values):
    return SourceConfig("coco", str(path), max_objects=0, **values)


@pytest.mark.parametrize("write", [coco_rle, rle.encode])
def test_overlapping_run_lengths_are_read(tmp_path, write):
    path = write_coco(tmp_path, [write(square()), write(square(GREEN_BOX))])

    clip = open_source(coco(path)).whole_clip(1)

    assert np.array_equal(clip.masks_othw[:, 0], [square(), square(GREEN_BOX)])
    assert (clip.masks_othw[0] & clip.masks_othw[1]).any()


def test_polygons_are_read(tmp_path):
    top, left, bottom, right = GREEN_BOX
    corners = [left, top, right, top, right, bottom, left, bottom]
    path = write_coco(tmp_path, [[[float(value) for value in corners]]])

    clip = open_source(coco(path)).whole_clip(0)

    assert np.array_equal(clip.masks_othw[0, 0], square(GREEN_BOX))


def test_a_folder_with_one_file_is_enough(tmp_path):
    path = write_coco(tmp_path, [coco_rle(square())])
    (tmp_path / "annotations").mkdir()
    path.rename(tmp_path / "annotations" / "instances.json")

    assert [row.name for row in read_coco(coco(tmp_path))] == ["a", "b"]


def test_one_of_several_files_is_named(tmp_path):
    path = write_coco(tmp_path, [coco_rle(square())])
    (tmp_path / "other.json").write_text(path.read_text())

    rows = read_coco(coco(tmp_path, options={"annotations": "other.json"}))

    assert len(rows) == 2
    with pytest.raises(DataError, match=r"there must be one JSON file, found: instances.json, oth"):
        read_coco(coco(tmp_path))


def test_crowds_and_photos_without_objects_do_not_count(tmp_path):
    path = write_coco(tmp_path, [coco_rle(square())])
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(content))

    assert [row.name for row in read_coco(coco(path))] == ["b"]


def test_photos_may_lie_elsewhere(tmp_path):
    path = write_coco(tmp_path / "here", [coco_rle(square())])
    (tmp_path / "here" / "images").rename(tmp_path / "there")

    assert len(read_coco(coco(path, options={"images": "../there"}))) == 2
    with pytest.raises(DataError, match=r"its first photo a.jpg is not in .*images"):
        read_coco(coco(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not valid JSON"),
        ('{"images": []}', "lacks 'annotations'"),
        ('{"images": [], "annotations": []}', "no photo with an object"),
        ("[]", "The kind coco expects"),
    ],
)
def test_another_file_says_what_is_expected(tmp_path, content, said):
    (tmp_path / "instances.json").write_text(content)

    with pytest.raises(DataError, match=said):
        read_coco(coco(tmp_path / "instances.json"))


def test_masks_that_do_not_fit_their_photo_are_refused(tmp_path):
    path = write_coco(tmp_path, [coco_rle(square())])
    save(photo()[:40], tmp_path / "images" / "a.jpg")

    with pytest.raises(
        DataError, match=rf"{WIDTH}x{HEIGHT} .width x height., but .* is {WIDTH}x40"
    ):
        open_source(coco(path)).whole_clip(0)
