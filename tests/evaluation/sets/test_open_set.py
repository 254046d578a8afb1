"""Sets of videos: from folders, tables and nothing at all."""

import io
import shutil

import datasets
import numpy as np
import pytest
from PIL import Image

from evaluation.sets.open_set import open_set
from evaluation.sets.set_rules import SETS
from evaluation.sets.video_rows import FEATURES, embedded
from sam2_hf.errors import DataError
from tests.small_sets import SIZE, boxes, write_davis, write_late, write_lvos, write_sav


def test_davis_gives_all_objects_of_the_first_frame_and_masks_of_every_one(tmp_path):
    videos = open_set("davis17-val", str(write_davis(tmp_path)))

    assert [video.name for video in videos] == ["cat", "dog"]
    cat = videos[0]
    assert (cat.num_frames, cat.size, cat.given) == (5, SIZE, {1: 0, 2: 0})
    assert (cat.labels(3) == boxes(3)).all()
    assert (cat.masks(3)[2] == (boxes(3) == 2)).all()
    assert cat.picture(0).shape == (*SIZE, 3)


def test_of_davis_2016_all_objects_are_one(tmp_path):
    (cat,) = open_set("davis16-val", str(write_davis(tmp_path, ("cat",), scale=255)))

    assert cat.given == {1: 0}
    assert set(np.unique(cat.labels(2))) == {0, 1}


def test_sav_gives_objects_that_overlap_and_masks_of_every_fourth_frame(tmp_path):
    (video,) = open_set("sav-val", str(write_sav(tmp_path)))

    assert (video.num_frames, list(video.annotated)) == (9, [0, 4, 8])
    assert video.given == {0: 0, 1: 0}
    masks = video.masks(4)
    assert (masks[0] == (boxes(4) == 1)).all()
    assert (masks[1] == (boxes(4) > 0)).all()


@pytest.mark.parametrize("name", ["ytvos19-val", "folder"])
def test_objects_that_come_later_are_given_where_they_are_first_annotated(tmp_path, name):
    root = write_late(tmp_path)

    (owl,) = open_set(name, str(root / "valid" if name == "folder" else root))

    assert owl.given == {1: 0, 2: 3}
    assert list(owl.annotated) == [0, 3, 6]


def test_lvos_says_where_each_object_counts_and_which_videos_are_of_unseen_kinds(tmp_path):
    owl, ray = open_set("lvos-v1-val", str(write_lvos(tmp_path, ("owl", "ray"), unseen=("ray",))))

    assert (owl.given, owl.row.unseen, ray.row.unseen) == ({1: 0, 2: 10}, False, True)
    assert owl.annotated_for(2) == [10, 15, 20, 25]


def test_lvos_without_its_meta_file_or_a_mask_that_counts_is_refused(tmp_path):
    root = write_lvos(tmp_path)
    (root / "Annotations" / "owl" / "00000020.png").unlink()

    with pytest.raises(DataError, match=r"^owl: frame 20 of object 1 counts, but has no mask"):
        open_set("lvos-v1-val", str(root))
    (root / "valid_meta.json").write_text('{"videos": {}}')
    with pytest.raises(DataError, match=r"valid_meta\.json lacks 'owl'"):
        open_set("lvos-v1-val", str(root))
    (root / "valid_meta.json").unlink()
    with pytest.raises(DataError, match="which says on which frames each object counts"):
        open_set("lvos-v1-val", str(root))


def test_frames_of_youtube_vos_come_from_all_of_them_where_they_are(tmp_path):
    write_late(tmp_path)
    shutil.copytree(tmp_path / "valid" / "JPEGImages", tmp_path / "valid_all_frames" / "JPEGImages")
    (tmp_path / "valid" / "JPEGImages" / "owl" / "00001.jpg").unlink()

    (owl,) = open_set("ytvos19-val", str(tmp_path))

    assert owl.num_frames == 9


def test_a_table_has_typed_columns_and_reads_no_file_until_it_is_looked_at(tmp_path):
    videos = open_set("davis17-val", str(write_davis(tmp_path)))
    (tmp_path / "JPEGImages" / "480p" / "cat" / "00002.jpg").write_bytes(b"")

    assert videos.table.features == FEATURES
    assert videos.table[0]["frames"][2]["path"].endswith("00002.jpg")
    assert videos[0].picture(1).shape == (*SIZE, 3)


@pytest.mark.parametrize("name", ["davis17-val", "sav-val"])
def test_a_table_with_all_bytes_in_it_stands_alone(tmp_path, name):
    root = tmp_path / "set"
    write_davis(root), write_sav(root)
    known = open_set(name, str(root))
    truth = [video.masks(4) for video in known]
    embedded(known.table).to_parquet(tmp_path / "set.parquet")
    shutil.rmtree(root)

    videos = open_set(name, str(tmp_path / "set.parquet"))

    for video, masks in zip(videos, truth, strict=True):
        assert video.picture(4).shape == (*SIZE, 3)
        assert masks.keys() == video.masks(4).keys()
        assert all((masks[number] == found).all() for number, found in video.masks(4).items())


def test_some_videos_can_be_chosen_from_folders_and_from_tables(tmp_path):
    root = write_davis(tmp_path / "set")
    open_set("davis17-val", str(root)).table.to_parquet(tmp_path / "set.parquet")

    for place in (root, tmp_path / "set.parquet"):
        assert [one.name for one in open_set("davis17-val", str(place), ["dog"])] == ["dog"]


def test_a_set_that_does_not_exist_is_refused_with_all_that_do(tmp_path):
    with pytest.raises(DataError, match=r'"davis18".*davis17-val.*sav-val'):
        open_set("davis18", str(tmp_path))


@pytest.mark.parametrize("name", [one for one in SETS if one != "folder"])
def test_an_empty_root_says_what_is_missing_and_where_to_get_it(tmp_path, name):
    with pytest.raises(DataError) as told:
        open_set(name, str(tmp_path))

    assert "JPEGImages" in str(told.value)
    assert SETS[name].page in str(told.value)


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("ImageSets", "ImageSets/2017/val.txt"),
        ("Annotations/480p/dog", "1 of 2 videos of davis17-val have no masks.*dog"),
        ("JPEGImages/480p/cat", "1 of 2 videos of davis17-val have no frames.*cat"),
        ("Annotations/480p/dog/00000.png", "dog: the first frame, 00000, has no mask"),
        ("Annotations/480p/dog/00003.png", "dog has 5 frames, but masks of 4"),
    ],
)
def test_a_half_unpacked_set_is_refused_by_what_is_missing(tmp_path, gone, words):
    path = write_davis(tmp_path) / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.raises(DataError, match=words):
        open_set("davis17-val", str(tmp_path))


def test_a_video_that_the_set_does_not_have_is_refused(tmp_path):
    with pytest.raises(DataError, match="no video cow, but cat, dog"):
        open_set("davis17-val", str(write_davis(tmp_path)), ["cow"])


def test_a_video_that_a_table_does_not_have_is_refused_too(tmp_path):
    table = open_set("davis17-val", str(write_davis(tmp_path / "set"))).table
    table.to_parquet(tmp_path / "set.parquet")

    with pytest.raises(DataError, match="no video cow, but cat, dog"):
        open_set("davis17-val", str(tmp_path / "set.parquet"), ["cat", "cow"])


def test_sizes_are_counted_without_reading_a_picture(tmp_path):
    videos = open_set("davis17-val", str(write_davis(tmp_path)))
    shutil.rmtree(tmp_path / "JPEGImages")

    assert videos.objects() == [("cat", [1, 2], 5), ("dog", [1, 2], 5)]


def test_a_table_of_something_else_is_refused(tmp_path):
    table = open_set("davis17-val", str(write_davis(tmp_path / "set"))).table
    table.remove_columns("label_maps").to_parquet(tmp_path / "set.parquet")

    with pytest.raises(DataError, match="no column 'label_maps'"):
        open_set("davis17-val", str(tmp_path / "set.parquet"))


def test_a_mask_of_another_size_than_its_frame_is_refused_by_name(tmp_path):
    root = write_davis(tmp_path)
    mask = root / "Annotations" / "480p" / "cat" / "00002.png"
    Image.open(mask).resize((18, 12)).save(mask)

    with pytest.raises(DataError, match=r"cat, frame 00002: the mask is 18x12.*36x24"):
        open_set("davis17-val", str(root))[0].labels(2)


def own_table(tmp_path, **changes):
    """A table of one video with two frames, as somebody may have made or sent it."""
    row = {
        "video": "a",
        "frames": [{"bytes": png(0), "path": None}] * 2,
        "frame_names": ["00000", "00001"],
        "annotated": [0, 1],
        "label_maps": [{"bytes": png(1), "path": None}] * 2,
        "object_ids": [1],
        "first_frames": [0],
    }
    path = tmp_path / "table.parquet"
    datasets.Dataset.from_list([row | changes]).to_parquet(str(path))
    return str(path)


def png(level):
    file = io.BytesIO()
    Image.fromarray(np.full((24, 36), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_table_of_ones_own_is_read(tmp_path):
    assert open_set("folder", own_table(tmp_path))[0].masks(1)[1].all()


NAMES_ELSEWHERE = [
    "../../../out",
    "/tmp/out",
    "a/b",
    "..",
    ".",
    "",
    "a\\b",
    "c:x",
    "a\0b",
    "x" * 300,
]


@pytest.mark.parametrize("name", [*NAMES_ELSEWHERE, None])
def test_names_of_frames_and_videos_that_lead_elsewhere_are_refused(tmp_path, name):
    """Masks are written under these names; one with ../ in it was written outside of --out."""
    with pytest.raises(DataError, match="has a frame called"):
        open_set("folder", own_table(tmp_path, frame_names=["00000", name]))
    with pytest.raises(DataError, match="has a video called"):
        open_set("folder", own_table(tmp_path, video=name))


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_names": ["00000", "00000"]},
        {"annotated": [1, 0]},
        {"annotated": [0, 7]},
        {"annotated": [-1, 0]},
        {"first_frames": [5]},
        {"first_frames": [0, 1]},
        {"object_ids": [1, 1], "first_frames": [0, 0]},
        {"object_ids": [-1]},
    ],
    ids=str,
)
def test_a_row_that_contradicts_itself_is_refused_before_it_is_read(tmp_path, changes):
    with pytest.raises(DataError):
        open_set("folder", own_table(tmp_path, **changes))
