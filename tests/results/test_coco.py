"""COCO JSON, read by pycocotools."""

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO

from sam2_hf.results.coco import coco_document, write_json
from tests.results.readers import SIZE, objects, plain_mask, ring_mask

FIELDS = {"id", "image_id", "category_id", "iscrowd", "area", "bbox", "segmentation"}


def read(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools under numpy 2
@pytest.mark.parametrize("polygons", [False, True])
def test_pycocotools_reads_equal_masks_names_and_own_prompts(tmp_path, polygons):
    content = coco_document("street.png", SIZE, objects(), "some-model", polygons=polygons)

    coco = read(write_json(tmp_path / "street.json", content))

    assert coco.imgs[1]["file_name"] == "street.png"
    names = [category["name"] for category in coco.loadCats(coco.getCatIds())]
    assert names == (["truck & co", "object"] if polygons else ["truck & co", "object", "gone"])
    for annotation, mask, point in (
        (coco.anns[1], ring_mask(), [17, 5, 1]),
        (coco.anns[2], plain_mask(), [5, 36, 1]),
    ):
        assert set(annotation) > FIELDS
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        assert annotation["prompt_points"] == [point]
    assert coco.anns[1]["bbox"] == [4, 5, 48, 27]


def test_a_hidden_object_has_run_lengths_and_no_polygon():
    runs = coco_document("", SIZE, objects(), "")["annotations"]
    polygons = coco_document("", SIZE, objects(), "", polygons=True)["annotations"]

    assert (len(runs), len(polygons)) == (3, 2)
    assert (runs[2]["area"], runs[2]["bbox"]) == (0, [0, 0, 0, 0])


def test_the_file_has_a_line_for_each_mask_and_short_numbers(tmp_path):
    (first, *_) = objects()
    masks = [replace(first, about={"predicted_iou": 0.123456789})] * 2

    text = write_json(tmp_path / "a" / "b.json", coco_document("", SIZE, masks, "m")).read_text()

    content = json.loads(text)
    assert content["info"]["model"] == "m"
    assert [row["id"] for row in content["annotations"]] == [1, 2]
    assert content["annotations"][0]["predicted_iou"] == 0.123457
    assert len(text.splitlines()) == 13


def test_nothing_found_is_a_valid_file(tmp_path):
    path = write_json(tmp_path / "none.json", coco_document("a.png", SIZE, [], ""))

    assert json.loads(path.read_text())["categories"] == [{"id": 1, "name": "object"}]
    assert not read(path).anns
