"""Reading photos and their segments."""

import json

import numpy as np
import pytest
from PIL import Image

from evaluation.photo_sets import bsds_set, coco_set
from sam2_hf.errors import DataError


def edit_table(root, change):
    path = root / "coco128/instances_val.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def test_every_label_of_every_annotator_is_a_segment(small_data):
    photos = list(bsds_set(small_data))

    assert [photo.name for photo in photos] == ["100", "200"]
    areas = [int(mask.sum()) for mask in photos[0].segments]
    assert areas == [24 * 36 - 64, 64, 24 * 36 - 64 - 1, 64]


def test_a_label_in_two_places_is_one_segment(small_data):
    labels_hw = np.ones((24, 36), np.uint8)
    labels_hw[:4, :8] = labels_hw[-4:, -8:] = 2
    Image.fromarray(labels_hw).save(small_data / "bsds500/val/100.0.png")

    photo = next(iter(bsds_set(small_data)))

    assert int(photo.segments[1].sum()) == 64


def test_an_instance_is_the_union_of_its_polygons(small_data):
    square = [2, 2, 6, 2, 6, 6, 2, 6]
    moved = [20, 2, 24, 2, 24, 6, 20, 6]
    edit_table(small_data, lambda t: t["annotations"][0].update(segmentation=[square, moved]))

    photo = next(iter(coco_set(small_data)))

    assert int(photo.segments[0].sum()) == 32


def test_run_lengths_are_read_too(small_data):
    runs = {"size": [24, 36], "counts": [0, 48, 24 * 36 - 48]}
    edit_table(small_data, lambda table: table["annotations"][0].update(segmentation=runs))

    mask_hw = next(iter(coco_set(small_data))).segments[0]

    assert mask_hw[:, :2].all()
    assert not mask_hw[:, 2:].any()


def test_crowds_and_small_instances_are_left_out(small_data):
    small = [[0, 0, 2, 0, 2, 2, 0, 2]]
    edit_table(small_data, lambda table: table["annotations"][0].update(iscrowd=1))
    edit_table(small_data, lambda table: table["annotations"][1].update(segmentation=small))

    assert [photo.segments for photo in coco_set(small_data)] == [(), ()]


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"bsds500.*--data is the folder"):
        bsds_set(tmp_path)


def test_a_photo_without_partition_is_refused(small_data):
    for path in (small_data / "bsds500/val").glob("200.*.png"):
        path.unlink()

    with pytest.raises(DataError, match=r"200\.\*\.png"):
        bsds_set(small_data)


def test_a_partition_of_another_size_is_refused(small_data):
    Image.fromarray(np.ones((9, 9), np.uint8)).save(small_data / "bsds500/val/100.1.png")

    with pytest.raises(DataError, match=r"100\.1\.png.*\(9, 9\)"):
        list(bsds_set(small_data))


@pytest.mark.parametrize("name", ["bsds500/val/100.jpg", "bsds500/val/100.0.png"])
def test_a_broken_file_is_named(small_data, name):
    (small_data / name).write_bytes(b"no picture")

    with pytest.raises(DataError, match=name):
        list(bsds_set(small_data))


@pytest.mark.parametrize("counts", [[0, 48], [0, 48, 24 * 36 - 48, 7]])
def test_damaged_run_lengths_are_named_with_their_photo(small_data, counts):
    runs = {"size": [24, 36], "counts": counts}
    edit_table(small_data, lambda table: table["annotations"][0].update(segmentation=runs))

    with pytest.raises(DataError, match=r"annotations of .*100\.jpg"):
        list(coco_set(small_data))


def test_run_lengths_of_another_size_than_the_photo_are_refused(small_data):
    runs = {"size": [10, 10], "counts": [0, 50, 50]}
    edit_table(small_data, lambda table: table["annotations"][0].update(segmentation=runs))

    with pytest.raises(DataError, match=r"\(10, 10\).*\(24, 36\)"):
        list(coco_set(small_data))


@pytest.mark.parametrize("content", ["{", "{}", '{"images": [{}], "annotations": []}'])
def test_a_broken_table_is_named(small_data, content):
    (small_data / "coco128/instances_val.json").write_text(content)

    with pytest.raises(DataError, match=r"instances_val\.json is no COCO JSON"):
        coco_set(small_data)


def test_the_files_of_a_set_are_all_that_it_is_made_of(small_data):
    assert len(bsds_set(small_data).files) == 2 * 3
    assert len(coco_set(small_data).files) == 2 + 1
