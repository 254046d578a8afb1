import json

import numpy as np
import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.data.sa1b import read_sa1b
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from tests.training.drawn_data import GREEN_BOX, coco_rle, photo, save, square

BOTH = square(), square(GREEN_BOX)


def write_photo(folder, number, masks=BOTH, masks_in=None):
    """Write sa_N.jpg and sa_N.json."""
    save(photo(masks), folder / f"sa_{number}.jpg")
    annotations = [{"segmentation": coco_rle(mask), "area": int(mask.sum())} for mask in masks]
    path = (masks_in or folder) / f"sa_{number}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"image": {"image_id": number}, "annotations": annotations}))


def sa1b(path, **values):
    return SourceConfig("sa1b", str(path), **values)


def test_overlapping_masks_are_read(tmp_path):
    write_photo(tmp_path, 7)

    clip = open_source(sa1b(tmp_path)).whole_clip(0)

    assert np.array_equal(clip.masks_othw[:, 0], [square(), square(GREEN_BOX)])


def test_photos_in_folders_below_are_found(tmp_path):
    for number in (10, 9):
        write_photo(tmp_path / "sa_000020", number)
    write_photo(tmp_path, 1)
    save(photo(), tmp_path / "sa_2.jpg")

    assert [row.name for row in read_sa1b(sa1b(tmp_path))] == ["sa_1", "sa_9", "sa_10"]


def test_masks_may_have_a_folder(tmp_path):
    write_photo(tmp_path, 1, masks_in=tmp_path / "masks")

    assert len(read_sa1b(sa1b(tmp_path, options={"annotations": "masks"}))) == 1
    with pytest.raises(DataError, match=r"no photo NAME.jpg .* has a file NAME.json"):
        read_sa1b(sa1b(tmp_path))


def test_masks_of_most_of_the_photo_can_be_left_out(tmp_path):
    """The original drops masks of more than 90 % of the picture."""
    write_photo(tmp_path, 1, masks=(square(), np.ones_like(square())))

    clip = open_source(sa1b(tmp_path, max_area=0.9)).whole_clip(0)

    assert len(clip.masks_othw) == 1


def test_a_photo_without_masks_cannot_be_used(tmp_path):
    write_photo(tmp_path, 1)
    (tmp_path / "sa_1.json").write_text('{"annotations": []}')

    with pytest.raises(DataError, match="no object of a usable size"):
        open_source(sa1b(tmp_path)).whole_clip(0)
