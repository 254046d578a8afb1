"""Results of prompted photos as objects."""

import pickle

import numpy as np
import pytest
from seeded_inputs import photo

from sam2_hf import ImageSegmentationPipeline, Sam2Model
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder

OBJECTS = {"cup": {"points": (30, 20)}, "plate": {"box": (60, 5, 115, 55)}}


@pytest.fixture(scope="module")
def segment():
    return ImageSegmentationPipeline(Sam2Model.from_pretrained(bundled_folder(SMALL_MODEL)).eval())


@pytest.fixture(scope="module")
def found(segment):
    return segment(photo(60, 120, 1), OBJECTS)


def test_named_objects_are_one_result_with_names_ids_and_own_prompts(found):
    content = found.to_coco()

    assert [row["name"] for row in content["categories"]] == ["cup", "plate"]
    cup, plate = content["annotations"]
    assert (cup["prompt_points"], cup["prompt_boxes"]) == ([[30, 20, 1]], [])
    assert (plate["prompt_points"], plate["prompt_boxes"]) == ([], [[60, 5, 115, 55]])
    assert list(found.polygons()) == [1, 2]
    assert found.plot().size == (120, 60)
    assert repr(found) == "SegmentationDict(2 objects (cup, plate), 120 x 60 pixels)"


def test_the_result_is_the_dictionary_or_list_it_was(segment, found):
    listed = segment(photo(60, 120, 1), list(OBJECTS.values()))

    assert isinstance(found, dict)
    assert isinstance(listed, list)
    for one, other in zip(found.values(), listed, strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)
    assert [result.name for result in listed] == [None, None]
    assert listed.named({2: "plate"}).to_coco()["categories"][1]["name"] == "plate"


def test_the_photo_is_read_again_for_the_plot(found):
    cutout = np.asarray(found["cup"].cutout())

    mask = found["cup"].best
    np.testing.assert_array_equal(cutout[..., 3] > 0, mask)
    np.testing.assert_array_equal(cutout[mask][:, :3], photo(60, 120, 1)[mask])


def test_an_encoded_photo_is_remembered_and_a_loaded_one_is_not(segment, tmp_path):
    encoded = segment.encode(photo(60, 120, 1))
    encoded.save(tmp_path / "photo.safetensors")

    assert segment(encoded, points=(30, 20)).origin is not None
    loaded = type(encoded).load(tmp_path / "photo.safetensors")
    bare = segment(loaded, points=(30, 20))
    assert bare.origin is None
    assert np.asarray(bare.plot())[0, 119].tolist() != [0, 0, 0]


def test_results_are_pickled_with_where_the_photo_is(found):
    again = pickle.loads(pickle.dumps(found))

    assert type(again) is type(found)
    np.testing.assert_array_equal(np.asarray(again.plot()), np.asarray(found.plot()))


def test_no_objects_are_an_empty_result_of_the_photo(segment):
    none = segment(photo(60, 120, 1), [])

    assert none == []
    assert none.plot().size == (120, 60)
    assert none.to_coco()["annotations"] == []
