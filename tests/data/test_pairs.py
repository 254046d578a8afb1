import numpy as np
import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.data.pairs import read_pairs
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from tests.training.drawn_data import GREEN_BOX, photo, save, square, write_pairs


def pairs(path, **values):
    return SourceConfig("pairs", str(path), **values)


def test_label_maps_lie_beside_their_photos(tmp_path):
    source = open_source(pairs(write_pairs(tmp_path)))

    clip = source.whole_clip(1)

    assert [source.name(item) for item in range(len(source))] == ["p0", "p1", "p2"]
    assert np.array_equal(clip.masks_othw, square()[None, None])


def test_several_annotators_belong_to_one_photo(tmp_path):
    save(photo(), tmp_path / "12.5.jpg")
    for number, box in enumerate([(0, 0, 9, 9), (9, 9, 20, 20), GREEN_BOX]):
        save(square(box).astype(np.uint8), tmp_path / f"12.5.{number}.png")
    source = open_source(pairs(tmp_path, augment=None))

    maps = {
        source.draw_clip(0, 48, np.random.default_rng(seed)).masks_othw.sum() for seed in range(20)
    }

    assert len(source) == 1
    assert len(maps) == 3
    assert len(source.whole_clip(0).masks_othw) == 3


def test_labels_that_touch_are_one_more_object_where_unions_are_asked_for(tmp_path):
    left_hw, right_hw = square((2, 2, 12, 20)), square((12, 2, 22, 20))
    save(photo(), tmp_path / "a.jpg")
    save((left_hw + 2 * right_hw).astype(np.uint8), tmp_path / "a.png")
    plain, united = (open_source(pairs(tmp_path, unions=count)) for count in (0, 1))

    masks = united.draw_clip(0, 48, np.random.default_rng(0)).masks_othw[:, 0]

    assert len(plain.draw_clip(0, 48, np.random.default_rng(0)).masks_othw) == 2
    one, other, both = sorted(masks, key=np.count_nonzero)
    assert np.array_equal(both, one | other)


def test_photos_and_masks_may_have_folders(tmp_path):
    save(photo(), tmp_path / "images" / "a.png")
    save(square().astype(np.uint8) * 255, tmp_path / "masks" / "a.png")
    save(photo(), tmp_path / "pictures" / "b.png")
    save(square().astype(np.uint8), tmp_path / "labels" / "b.png")

    usual = read_pairs(pairs(tmp_path))
    named = read_pairs(pairs(tmp_path, options={"images": "pictures", "masks": "labels"}))

    assert [row.name for row in (*usual, *named)] == ["a", "b"]


def test_photos_without_a_label_map_do_not_count(tmp_path):
    save(photo(), write_pairs(tmp_path, 1) / "alone.jpg")

    assert [row.name for row in read_pairs(pairs(tmp_path))] == ["p0"]


def test_a_row_names_files_and_holds_no_pixels(tmp_path):
    (row,) = read_pairs(pairs(write_pairs(tmp_path, 1)))

    assert row.images == [str(tmp_path / "p0.jpg")]
    assert row.label_maps == [[str(tmp_path / "p0.png")]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"none of 1 picture\(s\) in .* has a label map. The kind pairs expects"),
        ({"masks": "nowhere"}, "there is no folder .*nowhere"),
        ({"mask": "x"}, "has no option mask. It has: images, masks"),
        ({"masks": 3}, "must be a text"),
    ],
)
def test_a_folder_that_does_not_fit_says_what_is_expected(tmp_path, options, said):
    save(photo(), tmp_path / "alone.jpg")

    with pytest.raises(DataError, match=said):
        read_pairs(pairs(tmp_path, options=options))


@pytest.mark.parametrize(("path", "said"), [("", "has no path"), ("nowhere", "is not a folder")])
def test_a_missing_folder_says_what_is_expected(path, said):
    with pytest.raises(DataError, match=rf"{said}.*NAME.jpg"):
        read_pairs(pairs(path))
