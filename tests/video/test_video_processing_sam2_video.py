"""Whole videos to model input."""

import json

import numpy as np
import pytest
import torch

from sam2_hf import Sam2ImageProcessor, Sam2VideoVideoProcessor, VideoError
from tests.video.transformers_usage import SIZE, clip

SQUARE = {"height": 64, "width": 64}


def test_a_video_is_prepared_as_its_pictures_are():
    frames = clip(2)
    pictures = Sam2ImageProcessor(size=SQUARE, compat="transformers")

    (video,) = Sam2VideoVideoProcessor(size=SQUARE)(frames)["pixel_values_videos"]

    expected = pictures([*frames], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(video, expected, atol=1e-6, rtol=0)


def test_several_videos_keep_their_lengths():
    prepared = Sam2VideoVideoProcessor(size=SQUARE)([clip(2), clip(3)])

    assert [len(video) for video in prepared["pixel_values_videos"]] == [2, 3]
    assert prepared["original_sizes"] == [SIZE, SIZE]
    assert prepared["reshaped_input_sizes"] == [(64, 64)] * 2


def test_videos_of_equal_length_become_one_tensor():
    prepared = Sam2VideoVideoProcessor(size=SQUARE)([clip(2), clip(2)], return_tensors="pt")

    assert prepared["pixel_values_videos"].shape == (2, 2, 3, 64, 64)


def test_an_iterator_cannot_be_prepared_as_a_whole():
    with pytest.raises(VideoError, match="without a known end"):
        Sam2VideoVideoProcessor(size=SQUARE)(iter(clip(2)))


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="does not understand do_sample_frames"):
        Sam2VideoVideoProcessor(size=SQUARE)(clip(2), do_sample_frames=True)


def test_it_comes_back_from_its_file(tmp_path):
    Sam2VideoVideoProcessor(size=SQUARE).save_pretrained(tmp_path)

    saved = json.loads((tmp_path / "video_preprocessor_config.json").read_text())
    assert saved["video_processor_type"] == "Sam2VideoVideoProcessor"
    assert Sam2VideoVideoProcessor.from_pretrained(tmp_path).side == 64


@pytest.mark.parametrize("make", [torch.tensor, np.array])
def test_masks_are_enlarged_and_binarized_if_wanted(make):
    logits = make([[[[5.0, -5.0]]]])
    processor = Sam2VideoVideoProcessor(size=SQUARE)

    (masks,) = processor.post_process_masks([logits], [(2, 4)])
    (raw,) = processor.post_process_masks([logits], [(2, 4)], [(64, 64)], 0.0, False, SQUARE)

    assert masks[0, 0].tolist() == [[True, True, False, False]] * 2
    assert raw.dtype == torch.float32


def test_the_callers_masks_stay_arrays():
    masks = [np.zeros((1, 1, 4, 4), np.float32)]

    Sam2VideoVideoProcessor(size=SQUARE).post_process_masks(masks, [(8, 8)])

    assert isinstance(masks[0], np.ndarray)
