import json

import numpy as np
import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.data.sav import read_sav
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from tests.training.drawn_data import GREEN_BOX, agreement, coco_rle, is_red, photo, save, square

av = pytest.importorskip("av")
NUM_FRAMES, EVERY = 17, 4


def red(frame):
    return np.roll(square(), frame, axis=1)


def write_video(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in range(NUM_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(photo((red(frame),)))))
        container.mux(stream.encode())


def masklets(missing=()):
    """Annotate the red square every fourth frame, and a second object but on some frames."""
    empty = coco_rle(np.zeros_like(square()))
    return [
        [
            coco_rle(red(frame)),
            None if frame in missing else empty if frame else coco_rle(square(GREEN_BOX)),
        ]
        for frame in range(0, NUM_FRAMES, EVERY)
    ]


@pytest.fixture
def folder(tmp_path):
    write_video(tmp_path / "sav_1.mp4")
    (tmp_path / "sav_1_manual.json").write_text(json.dumps({"masklet": masklets()}))
    return tmp_path


def sav(path, **values):
    return SourceConfig("sav", str(path), **values)


def test_masks_lie_on_their_object_in_every_annotated_frame(folder):
    clip = open_source(sav(folder)).whole_clip(0)

    assert clip.masks_othw.shape[:2] == (2, 5)
    shown = zip(clip.masks_othw[0], clip.frames_thw3, strict=True)
    assert min(agreement(mask, is_red(frame)) for mask, frame in shown) > 0.8
    assert clip.masks_othw[1].any(axis=(1, 2)).tolist() == [True, False, False, False, False]


def test_a_clip_may_run_backward_through_a_video(folder):
    config = sav(folder, num_frames=3, reverse=1.0)

    clip = open_source(config).draw_clip(0, 64, np.random.default_rng(0))

    columns = [is_red(frame).any(axis=0).argmax() for frame in clip.frames_thw3]
    assert columns == sorted(columns, reverse=True)
    assert min(map(agreement, clip.masks_othw[0], is_red(clip.frames_thw3))) > 0.75


def test_frames_without_annotation_and_objects_unknown_on_a_frame_are_left_out(folder):
    content = masklets(missing=(0, 8))
    content[3] = []
    (folder / "sav_1_manual.json").write_text(json.dumps({"masklet": content}))
    config = sav(folder, num_frames=4)

    clip = open_source(config).draw_clip(0, 64, np.random.default_rng(0))

    assert clip.masks_othw.shape[:2] == (1, 4)
    assert min(map(agreement, clip.masks_othw[0], is_red(clip.frames_thw3))) > 0.75


def test_frames_may_lie_as_pictures(tmp_path):
    for frame in range(NUM_FRAMES):
        save(photo((red(frame),)), tmp_path / "JPEGImages_24fps" / "sav_1" / f"{frame:05d}.jpg")
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "sav_1_auto.json").write_text(json.dumps({"masklet": masklets()}))

    clip = open_source(sav(tmp_path, options={"annotations": "auto"})).whole_clip(0)

    assert min(map(agreement, clip.masks_othw[0], is_red(clip.frames_thw3))) > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"1 file\(s\) \*_manual.json, none with its video. The kind sav expects"),
        ({"annotations": "auto"}, r"there is no \*_auto.json"),
        ({"every": "four"}, "must be a number"),
    ],
)
def test_another_layout_says_what_is_expected(tmp_path, options, said):
    (tmp_path / "sav_1_manual.json").write_text("{}")

    with pytest.raises(DataError, match=said):
        read_sav(sav(tmp_path, options=options))


def test_a_video_that_is_cut_off_cannot_be_used(folder):
    content = (folder / "sav_1.mp4").read_bytes()
    (folder / "sav_1.mp4").write_bytes(content[: len(content) // 3])

    with pytest.raises(DataError, match=r"sav_1 \(.*sav_1.mp4\)"):
        open_source(sav(folder)).whole_clip(0)
