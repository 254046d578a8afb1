"""Sets of videos: from folders, tables and nothing at all."""

import io
import shutil

import datasets
import numpy as np
import pytest
from PIL import Image

from evaluation.sets.open_set import open_set
from evaluation.sets.set_rules import SETS
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.rows import VideoRow, column_kinds, embedded, make_table
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import READERS, open_source
from tests.small_sets import (
    SIZE,
    boxes,
    write_davis,
    write_late,
    write_lvos,
    write_masklets,
    write_sav,
)


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

    kinds = column_kinds()
    assert videos.table.features == {name: kinds[name] for name in videos.table.column_names}
    assert videos.table[0]["images"][2]["path"].endswith("00002.jpg")
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


def same_masks(videos, others):
    """Whether two sets have the same videos, given objects, pictures and masks."""
    for video, other in zip(videos, others, strict=True):
        assert (video.name, video.given) == (other.name, other.given)
        assert (list(video.annotated), video.num_frames) == (
            list(other.annotated),
            other.num_frames,
        )
        assert (video.picture(2) == other.picture(2)).all()
        for frame in video.annotated:
            masks, others_masks = video.masks(frame), other.masks(frame)
            assert masks.keys() == others_masks.keys()
            assert all((mask == others_masks[number]).all() for number, mask in masks.items())
    return True


def write_clips(root):
    write_late(root / "davis")
    write_sav(root / "objects")
    write_masklets(root / "masklets")
    return {
        "davis": (root / "davis" / "valid", "folder"),
        "davis-objects": (root / "objects", "sav-val"),
        "sav": (root / "masklets", "sav-train"),
    }


@pytest.mark.parametrize("name", ["davis", "davis-objects", "sav"])
def test_every_kind_that_training_reads_is_a_set_of_its_own(tmp_path, name):
    place, known = write_clips(tmp_path)[name]

    videos = open_set(name.partition("-")[0], str(place))

    assert same_masks(videos, open_set(known, str(place)))
    assert videos.rules.per_object == (name != "davis")


@pytest.mark.parametrize("saved_as", ["folder", "parquet", "parquet folder"])
@pytest.mark.parametrize("name", ["davis", "davis-objects", "sav"])
def test_a_table_for_training_is_a_set_too(tmp_path, name, saved_as):
    place, known = write_clips(tmp_path)[name]
    kind = name.partition("-")[0]
    table = make_table(READERS[kind](SourceConfig(kind, str(place))))
    path = tmp_path / "table"
    if saved_as == "folder":
        table.save_to_disk(path)
    elif saved_as == "parquet":
        path = tmp_path / "table.parquet"
        table.to_parquet(path)
    else:
        path.mkdir()
        table.to_parquet(path / "0.parquet")

    assert same_masks(open_set(known, str(path)), open_set(known, str(place)))


def test_a_set_saved_as_a_table_can_be_trained_on(tmp_path):
    root = write_late(tmp_path) / "valid"
    open_set("folder", str(root)).table.to_parquet(tmp_path / "set.parquet")

    from_table = open_source(SourceConfig("hub", str(tmp_path / "set.parquet")))
    from_files = open_source(SourceConfig("davis", str(root)))

    assert (from_table.name(0), from_table.fingerprint()) == ("owl", from_files.fingerprint())
    for found, known in zip(arrays_of(from_table), arrays_of(from_files), strict=True):
        assert (found == known).all()


def arrays_of(source):
    clip = source.whole_clip(0)
    return clip.frames_thw3, clip.masks_othw


def test_a_table_of_an_earlier_version_can_be_trained_on_and_evaluated(tmp_path):
    path = own_table(tmp_path, annotated=[1], label_maps=[{"bytes": png(1), "path": None}],
                     first_frames=[1])  # fmt: skip

    video = open_set("folder", path)[0]
    source = open_source(SourceConfig("hub", path))

    assert (video.name, video.given) == ("a", {1: 1})
    assert (source.name(0), source.recording(0).num_frames) == ("a", 1)
    assert source.whole_clip(0).masks_othw.all()


def test_of_several_annotators_the_first_counts(tmp_path):
    row = VideoRow("a", images=[png(0)] * 2, label_maps=[[png(3), png(5)]] * 2)
    make_table([row]).to_parquet(tmp_path / "table.parquet")

    assert open_set("folder", str(tmp_path / "table.parquet"))[0].given == {3: 0}


def test_an_object_that_is_never_visible_is_not_given(tmp_path):
    masks = [[png(0), png(1)], [png(0), ""], ["", png(7)]]
    row = VideoRow("a", images=[png(0)] * 3, masks=masks)
    make_table([row]).to_parquet(tmp_path / "table.parquet")

    (video,) = open_set("sav-train", str(tmp_path / "table.parquet"))

    assert (video.given, video.annotated_for(1)) == ({1: 0}, [0, 2])
    assert video.masks(2)[1].all()
    assert video.masks(1) == {}


def test_options_of_a_kind_reach_its_reader(tmp_path):
    root = str(write_davis(tmp_path))
    write_davis(tmp_path, ("small-cat",), folder="240p")

    (video,) = open_set("davis", root, options={"resolution": "240p"})

    assert video.name == "small-cat"
    with pytest.raises(DataError, match="has no options, so not resolution"):
        open_set("davis17-val", root, options={"resolution": "240p"})
    with pytest.raises(DataError, match="speed"):
        open_set("davis", root, options={"speed": 1})


def test_a_table_has_no_options(tmp_path):
    embedded(open_set("davis17-val", str(write_davis(tmp_path))).table).to_parquet(
        tmp_path / "set.parquet"
    )

    with pytest.raises(DataError, match="is a table, which has no options: split"):
        open_set("davis", str(tmp_path / "set.parquet"), options={"split": "val"})
