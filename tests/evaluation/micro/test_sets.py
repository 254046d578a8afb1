"""The photos and clips that the bundled model is measured on."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from evaluation.micro.sets import bsds_set, coco_set, davis_set
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


def test_crowds_and_small_instances_are_left_out(small_data):
    small = [[0, 0, 2, 0, 2, 2, 0, 2]]
    extra = {"image_id": 2, "segmentation": small, "iscrowd": 0}
    edit_table(small_data, lambda table: table["annotations"][0].update(iscrowd=1))
    edit_table(small_data, lambda table: table["annotations"].append(extra))

    assert [(photo.name, len(photo.segments)) for photo in coco_set(small_data)] == [("200", 1)]


@pytest.mark.parametrize("open_it", [bsds_set, coco_set, davis_set])
def test_an_empty_folder_is_refused(tmp_path, open_it):
    with pytest.raises(DataError, match=str(tmp_path)):
        open_it(tmp_path)


@pytest.mark.parametrize("name", ["bsds500/val/100.jpg", "bsds500/val/100.0.png"])
def test_a_broken_file_is_named(small_data, name):
    (small_data / name).write_bytes(b"no picture")

    with pytest.raises(DataError, match="100"):
        list(bsds_set(small_data))


def test_the_files_of_a_set_are_all_that_it_is_made_of(small_data):
    assert len(bsds_set(small_data).files) == 2 * 3
    assert len(coco_set(small_data).files) == 2 + 1
    assert len(davis_set(small_data).files) == 2 * 2 * 5
    for photos in (bsds_set, coco_set, davis_set):
        assert all(path.is_file() for path in photos(small_data).files)


def test_clips_come_with_a_mask_for_each_frame(small_data):
    clips = list(davis_set(small_data))

    assert [clip.name for clip in clips] == ["blackswan", "kite-surf"]
    assert clips[0].frames_thw3.shape == (5, 24, 36, 3)
    assert clips[0].masks_thw.sum(axis=(1, 2)).tolist() == [64] * 5
    assert not (clips[0].masks_thw[0] == clips[0].masks_thw[1]).all()


def test_a_missing_mask_is_refused(small_data):
    (small_data / "davis16-half/Annotations/480p/kite-surf/00002.png").unlink()

    with pytest.raises(DataError, match="kite-surf has 5 frames and 4 masks"):
        davis_set(small_data)


def test_a_missing_clip_is_refused(small_data):
    shutil.rmtree(small_data / "davis16-half/Annotations/480p/blackswan")

    with pytest.raises(DataError, match="blackswan"):
        davis_set(small_data)


def test_a_clip_without_object_on_its_first_frame_is_refused(small_data):
    path = small_data / "davis16-half/Annotations/480p/blackswan/00000.png"
    Image.fromarray(np.zeros((24, 36), np.uint8)).save(path)

    with pytest.raises(DataError, match="first mask of clip blackswan is empty"):
        list(davis_set(small_data))


def test_frames_of_several_sizes_are_refused(small_data):
    path = small_data / "davis16-half/JPEGImages/480p/blackswan/00003.jpg"
    Image.fromarray(np.zeros((30, 36, 3), np.uint8)).save(path)

    with pytest.raises(DataError, match="several sizes"):
        list(davis_set(small_data))
