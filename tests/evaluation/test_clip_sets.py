"""Reading clips and their masks."""

import numpy as np
import pytest
from PIL import Image

from evaluation.clip_sets import davis_set
from sam2_hf.errors import DataError


def test_clips_come_with_a_mask_for_each_frame(small_data):
    clips = list(davis_set(small_data))

    assert [clip.name for clip in clips] == ["blackswan", "kite-surf"]
    assert clips[0].frames_thw3.shape == (5, 24, 36, 3)
    assert clips[0].masks_thw.sum(axis=(1, 2)).tolist() == [64] * 5
    assert not (clips[0].masks_thw[0] == clips[0].masks_thw[1]).all()


def test_a_missing_mask_is_refused(small_data):
    (small_data / "davis16-half/Annotations/480p/kite-surf/00002.png").unlink()

    with pytest.raises(DataError, match="kite-surf has 5 frames and 4 masks"):
        davis_set(small_data)


def test_a_missing_clip_is_refused(tmp_path):
    with pytest.raises(DataError, match="blackswan"):
        davis_set(tmp_path)


def test_a_clip_without_object_on_its_first_frame_is_refused(small_data):
    path = small_data / "davis16-half/Annotations/480p/blackswan/00000.png"
    Image.fromarray(np.zeros((24, 36), np.uint8)).save(path)

    with pytest.raises(DataError, match="first mask of clip blackswan is empty"):
        list(davis_set(small_data))


def test_frames_of_several_sizes_are_refused(small_data):
    path = small_data / "davis16-half/JPEGImages/480p/blackswan/00003.jpg"
    Image.fromarray(np.zeros((30, 36, 3), np.uint8)).save(path)

    with pytest.raises(DataError, match="several sizes"):
        list(davis_set(small_data))
