import numpy as np
import pytest
from PIL import Image

from sam2_hf.data.config import Augmentation, SourceConfig
from sam2_hf.data.davis import read_davis, read_sequence
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from tests.training.drawn_data import (
    GREEN_BOX,
    agreement,
    is_red,
    photo,
    save,
    square,
    write_sequence,
)


def davis(path, **values):
    return SourceConfig("davis", str(path), **values)


def test_several_objects_keep_their_numbers_through_a_clip(tmp_path):
    source = open_source(davis(write_sequence(tmp_path, "bear"), num_frames=4))

    clip = source.whole_clip(0)

    assert clip.masks_othw.shape[:2] == (2, 4)
    assert np.array_equal(clip.masks_othw[0, 0], square())
    shown = zip(clip.masks_othw[0], clip.frames_thw3, strict=True)
    assert min(agreement(mask, is_red(frame)) for mask, frame in shown) > 0.8


def test_clips_are_drawn_from_a_sequence(tmp_path):
    config = davis(write_sequence(tmp_path, "bear"), num_frames=3, augment=Augmentation())

    clip = open_source(config).draw_clip(0, 64, np.random.default_rng(0))

    assert clip.frames_thw3.shape == (3, 64, 64, 3)
    assert clip.masks_othw.shape == (2, 3, 64, 64)


def test_only_annotated_frames_count(tmp_path):
    write_sequence(tmp_path, "bear", num_frames=6)
    for frame in (1, 2, 4):
        (tmp_path / "Annotations" / "bear" / f"{frame:05d}.png").unlink()

    (row,) = read_davis(davis(tmp_path))
    recording = open_source(davis(tmp_path)).recording(0)

    assert (len(row.images), list(row.annotated)) == (6, [0, 3, 5])
    assert recording.num_frames == 3
    assert np.array_equal(recording.picture(2), Image.open(row.images[5]))


def test_frames_come_in_the_order_of_the_numbers_in_their_names(tmp_path):
    for frame in (2, 10):
        save(photo(), tmp_path / "images" / f"frame_{frame}.jpg")
        save(square().astype(np.uint8), tmp_path / "masks" / f"frame_{frame}.png")

    row = read_sequence("bear", tmp_path / "images", tmp_path / "masks")

    assert row.frame_names == ["frame_2", "frame_10"]


def test_a_folder_may_stand_for_the_resolution(tmp_path):
    write_sequence(tmp_path, "480p/bear")
    write_sequence(tmp_path, "Full-Resolution/bear")

    usual = read_davis(davis(tmp_path))[0]
    full = read_davis(davis(tmp_path, options={"resolution": "Full-Resolution"}))[0]

    assert "/JPEGImages/480p/bear/" in usual.images[0]
    assert "/Annotations/Full-Resolution/bear/" in full.label_maps[0][0]


def test_each_object_may_have_a_folder(tmp_path):
    for frame in range(3):
        save(photo(), tmp_path / "JPEGImages_24fps" / "sav_1" / f"{frame * 4:05d}.jpg")
        save(
            square().astype(np.uint8), tmp_path / f"Annotations_6fps/sav_1/000/{frame * 4:05d}.png"
        )
    other = square(GREEN_BOX).astype(np.uint8)
    save(other, tmp_path / "Annotations_6fps" / "sav_1" / "001" / "00000.png")

    clip = open_source(davis(tmp_path)).whole_clip(0)

    assert clip.masks_othw.any(axis=(2, 3)).tolist() == [[True] * 3, [True, False, False]]


def test_sequences_are_chosen_by_name(tmp_path):
    for name in ("bear", "camel", "dog"):
        write_sequence(tmp_path, name, num_frames=1)

    source = open_source(davis(tmp_path, exclude=("camel",)))

    assert [source.name(item) for item in range(len(source))] == ["bear", "dog"]


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        ([], {}, "there is no folder JPEGImages"),
        (["JPEGImages"], {}, "there is no folder Annotations"),
        (["JPEGImages", "Annotations"], {}, "has no folders in it"),
        (["JPEGImages/bear", "Annotations/camel"], {}, "there is no bear in .*, but camel"),
        (["JPEGImages/480p", "Annotations/480p"], {"resolution": "1080p"}, "no 1080p .* but 480p"),
        (["JPEGImages/480p/a", "Annotations/480p/b"], {}, "no sequence of .* has annotated frames"),
    ],
)
def test_another_layout_says_what_is_expected(tmp_path, made, options, said):
    for folder in made:
        (tmp_path / folder).mkdir(parents=True)

    with pytest.raises(DataError, match=rf"{said}.*expects JPEGImages/SEQUENCE/00000.jpg"):
        read_davis(davis(tmp_path, options=options))
