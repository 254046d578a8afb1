"""The file of a labeled video."""

from dataclasses import replace

import pytest

from sam2_hf.engine.video_labels import (
    Doubt,
    LabeledFrames,
    LabeledMasklet,
    MaskletPrompt,
    ReviewAction,
    VideoLabels,
    read_labels,
    write_labels,
)
from sam2_hf.errors import DataError
from tests.engine.test_quality import on_frame, square, tracked

MASK = on_frame(square(0, 0)).segmentation
MASKLET = LabeledMasklet(
    4,
    "cup",
    scores={"predicted_iou": 0.5, "agreement": None},
    reasons=("why",),
    prompts=(MaskletPrompt(1, ((2.0, 3.0, True),), (0.0, 1.0, 5.0, 6.0), MASK, "Ann"),),
    doubts=(Doubt(2, ("dim",), 0.5),),
    history=(ReviewAction("Ann", "accepted", "token", {"1": 2}),),
    model={"name": "tiny", "fingerprint": "ab"},
)
VIDEO = VideoLabels("v-1", "v.mp4", "/v.mp4", (24, 32), 3, 12.5, "phase3", (MASKLET,), ((0, 3),))


def test_labels_and_masks_come_back_from_the_file(tmp_path):
    frames = tracked([square(0, frame) for frame in range(3)], object_id=4)

    path = write_labels(tmp_path / "v.jsonl", VIDEO, frames)

    assert read_labels(path) == VIDEO
    assert list(LabeledFrames(path)) == frames
    assert all(not frame.objects for frame in LabeledFrames(path, object_ids=[5]))


@pytest.mark.parametrize("text", ["", "[]", '{"id": 1}', "{"])
def test_a_damaged_file_is_refused(text, tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text(text)

    with pytest.raises(DataError, match=r"v\.jsonl"):
        read_labels(path)


def test_a_mask_comes_before_the_clicks_that_correct_it():
    given = MASKLET.prompts[0].for_session(4)

    assert [prompt.mask is not None for prompt in given] == [True, False]
    assert given[1].listed[0].xy == (2.0, 3.0)


def test_an_object_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"v-1 has no object 7\. Objects: 4"):
        VIDEO.masklet(7)


def test_two_workers_that_write_one_file_do_not_mix_their_frames(tmp_path):
    path, other = tmp_path / "v.jsonl", replace(VIDEO, phase="phase2")
    frames = tracked([square(0, frame) for frame in range(3)], object_id=4)

    def interrupted():
        yield frames[0]
        write_labels(path, other, frames)
        assert read_labels(path) == other
        yield from frames[1:]

    write_labels(path, VIDEO, interrupted())

    assert read_labels(path) == VIDEO
    assert list(LabeledFrames(path)) == frames
    assert list(tmp_path.iterdir()) == [path]
