"""Names of result files, and their folder."""

import pytest

from sam2_hf import OutputError
from sam2_hf.cli.output_files import prepare_folder, unique_stems, with_ending


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (["a/cat.jpg", "b/dog.jpg"], ["cat", "dog"]),
        (["a/cat.jpg", "b/cat.jpg"], ["a_cat", "b_cat"]),
        (["cat.jpg", "cat.png"], ["cat_jpg", "cat_png"]),
        (["a/x/cat.jpg", "b/x/cat.jpg"], ["a_x_cat", "b_x_cat"]),
        (["cat.jpg", "sub/cat.jpg"], ["cat", "sub_cat"]),
        (["a/Cat.jpg", "b/cat.JPG"], ["a_Cat", "b_cat"]),
        (["cat.jpg", "cat.jpg"], ["cat", "cat_2"]),
        (["a/cat.jpg", "b/cat.jpg", "a_cat.png"], ["a_cat", "b_cat", "a_cat_2"]),
        (["../cat.jpg", "./cat.jpg"], ["cat", "cat_2"]),
        (["photo.of.a.cat.jpg"], ["photo.of.a.cat"]),
        ([], []),
    ],
)
def test_every_photo_gets_a_name_of_its_own(photos, expected):
    assert unique_stems(photos) == expected


def test_a_dot_in_a_name_stays(tmp_path):
    assert with_ending(tmp_path / "photo.1", "_mask.png").name == "photo.1_mask.png"


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(OutputError, match="Choose another --out"):
        prepare_folder(tmp_path / "taken" / "deeper")
