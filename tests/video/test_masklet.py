"""Masks of an object over time, kept as run lengths."""

import gc
import tracemalloc

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from sam2_hf.errors import FrameError, OutputError, SessionError
from sam2_hf.rle import encode, to_coco
from sam2_hf.video.masklet import MaskletStore, describe_frames
from sam2_hf.video.storage.record_store import RecordStore
from tests.video.records import full_disk

SIZE = (30, 40)


def disc(frame, size=SIZE):
    """A disc that moves one pixel a frame."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - 15) ** 2 + (columns - frame) ** 2 < 36


@pytest.fixture(params=[0, 1 << 20], ids=["on disk", "in RAM"])
def history(request, tmp_path):
    with RecordStore(ram_budget=request.param, folder=tmp_path) as history:
        yield history


@pytest.fixture
def store(history):
    store = MaskletStore(3, history, SIZE)
    for frame in (12, 10, 11, 20):
        store.put(frame, disc(frame), iou=0.5 + frame / 64, score=frame - 15.0)
    return store


def test_masks_come_back_pixel_by_pixel(store):
    masklet = store.masklet

    assert (masklet.object_id, masklet.size) == (3, SIZE)
    assert masklet.frames == [10, 11, 12, 20]
    for frame in masklet.frames:
        assert masklet.mask(frame).dtype == bool
        assert np.array_equal(masklet.mask(frame), disc(frame))


def test_scores_and_area_are_known_without_drawing(store):
    assert store.masklet.iou(12) == 0.6875
    assert store.masklet.object_score(12) == -3.0
    assert store.masklet.area(12) == disc(12).sum()


def test_run_lengths_are_what_cocos_tools_read(store):
    rle = store.masklet.rle(11)

    assert rle == to_coco(encode(disc(11)))
    assert coco_mask.area({**rle, "counts": rle["counts"].encode()}) == disc(11).sum()


def test_going_through_a_masklet_draws_one_mask_at_a_time(store):
    steps = iter(store.masklet)

    first_frame, first_mask = next(steps)
    store.put(11, np.zeros(SIZE, bool), 0.1, 0.1)
    second_frame, second_mask = next(steps)

    assert (first_frame, second_frame) == (10, 11)
    assert np.array_equal(first_mask, disc(10))
    assert not second_mask.any()


def test_a_masklet_sees_what_is_tracked_later(store):
    masklet = store.masklet

    store.put(13, torch.from_numpy(disc(13)), 0.9, 1.0)

    assert len(masklet) == 5
    assert 13 in masklet
    assert np.array_equal(masklet.mask(13), disc(13))


@pytest.mark.parametrize("name", ["mask", "rle", "iou", "object_score", "area"])
def test_a_frame_without_a_mask_says_which_frames_have_one(store, name):
    with pytest.raises(FrameError, match=r"object 3 .* frame 13\. .*: 10-12, 20 \(4 frames\)"):
        getattr(store.masklet, name)(13)


def test_discarded_and_cleared_masks_are_gone(store, history):
    store.discard(10)
    store.discard(99)
    left = store.masklet.frames

    store.clear()

    assert left == [11, 12, 20]
    assert (len(store.masklet), len(history)) == (0, 0)


def test_a_mask_of_another_size_is_refused(store):
    with pytest.raises(SessionError, match=r"object 3 on frame 5 is \(40, 30\), .*\(30, 40\)"):
        store.put(5, disc(5).T, 0.9, 1.0)

    assert 5 not in store.masklet


def test_a_masklet_goes_on_from_its_columns_and_history(store, history):
    again = MaskletStore.restored(3, history, SIZE, store.tensors())
    again.put(21, disc(21), 0.9, 1.0)

    assert again.masklet.frames == [10, 11, 12, 20, 21]
    assert np.array_equal(again.masklet.mask(10), disc(10))
    assert again.masklet.iou(10) == store.masklet.iou(10)


def test_on_a_full_disk_the_mask_and_its_scores_are_kept(tmp_path):
    with RecordStore(ram_budget=0, folder=tmp_path) as history:
        store = MaskletStore(1, history, SIZE)
        with full_disk(5), pytest.raises(OutputError):
            store.put(0, disc(0), 0.9, 1.0)

        assert np.array_equal(store.masklet.mask(0), disc(0))
        assert store.masklet.area(0) == disc(0).sum()


def test_an_object_frame_on_disk_takes_less_than_600_bytes_of_ram(tmp_path):
    with RecordStore(ram_budget=0, folder=tmp_path) as history:
        store = MaskletStore(1, history, SIZE)
        store.put(0, disc(0), 0.9, 1.0)
        gc.collect()
        tracemalloc.start()
        for frame in range(1, 3001):
            store.put(frame, disc(10), 0.9, 1.0)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert held / 3000 < 600


def test_frames_are_described_briefly():
    assert describe_frames([]) == "none"
    assert describe_frames([4]) == "4 (1 frame)"
    assert describe_frames([0, 1, 2, 9]) == "0-2, 9 (4 frames)"
    assert describe_frames(list(range(0, 40, 2))).endswith("12, 14, ... 38 (20 frames)")
