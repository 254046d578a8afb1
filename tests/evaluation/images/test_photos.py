"""Sets of photos, as a command line names them."""

import pytest

from evaluation.images.photos import all_photos, open_photo_sets
from sam2_hf.errors import DataError
from tests.labeled_squares import write_photos


@pytest.fixture
def root(tmp_path):
    write_photos(tmp_path)
    return tmp_path


def test_sets_of_several_kinds_are_opened_with_the_objects_of_all_annotators(root):
    texts = [f"coco:{root}/coco128/instances_val.json", f"bsds=pairs:{root}/bsds500/val"]

    coco, bsds = open_photo_sets(texts, 0.01)

    assert (coco.name, bsds.name) == ("instances_val", "bsds")
    assert coco.photo(0).masks_othw.shape == (1, 1, 24, 36)
    assert bsds.photo(1).masks_othw.shape == (4, 1, 24, 36)  # two annotators, two labels each
    assert [(one.name, item) for one, item in all_photos([coco, bsds])] == [
        ("instances_val", 0),
        ("instances_val", 1),
        ("bsds", 0),
        ("bsds", 1),
    ]


def test_a_photo_without_an_object_that_counts_is_none(root):
    (photos,) = open_photo_sets([f"coco:{root}/coco128/instances_val.json"], 0.5)

    assert photos.photo(0) is None


@pytest.mark.parametrize("text", ["here", "=coco:a", "cocoa:b", "coco:", "a/b=coco:c"])
def test_what_names_no_set_is_refused(text):
    with pytest.raises(DataError, match="Give NAME=KIND:PATH"):
        open_photo_sets([text], 0.0)


def test_two_sets_of_one_name_are_refused(root):
    text = f"coco:{root}/coco128/instances_val.json"

    with pytest.raises(DataError, match="2 of 2 are called instances_val"):
        open_photo_sets([text, text], 0.0)
