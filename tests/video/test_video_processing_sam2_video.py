"""Whole videos to model input."""

import json
import re

import numpy as np
import pytest
import torch

from sam2_hf import (
    ImageError,
    Sam2ImageProcessor,
    Sam2Processor,
    Sam2VideoInferenceSession,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
    VideoError,
    VideoSegmentationPipeline,
)
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.processing.pixel_values import RELEASED_PIXELS
from sam2_hf.video.video_processing_sam2_video import checkpoint_pixels
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
    with pytest.raises(TypeError, match="do_resizee"):
        Sam2VideoVideoProcessor(size=SQUARE)(clip(2), do_resizee=True)


def prepare(video, processor=None, **options):
    """One video as a tensor."""
    processor = processor or Sam2VideoVideoProcessor(size=SQUARE)
    return processor(video, return_tensors="pt", **options)["pixel_values_videos"][0]


SETTINGS = [
    {"do_resize": False},
    {"size": {"height": 32, "width": 96}},
    {"resample": 0},
    {"resample": 3},
    {"do_rescale": False},
    {"rescale_factor": 1 / 127.5},
    {"do_normalize": False},
    {"do_rescale": False, "do_normalize": False},
    {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_setting_counts_when_made_in_a_call_and_after_loading(setting, tmp_path):
    made = Sam2VideoVideoProcessor(**({"size": SQUARE} | setting))
    made.save_pretrained(tmp_path)
    pictures = Sam2ImageProcessor(**({"size": SQUARE, "compat": "transformers"} | setting))

    found = prepare(clip(2), made)

    assert torch.equal(found, pictures([*clip(2)], return_tensors="pt")["pixel_values"])
    assert torch.equal(prepare(clip(2), **setting), found)
    assert torch.equal(prepare(clip(2), Sam2VideoVideoProcessor.from_pretrained(tmp_path)), found)
    usual = prepare(clip(2))
    assert found.shape != usual.shape or not torch.equal(found.float(), usual)


def test_sizes_are_those_of_what_comes_out():
    prepared = Sam2VideoVideoProcessor(size=SQUARE)(clip(2), size={"height": 32, "width": 96})

    assert prepared["original_sizes"] == [SIZE]
    assert prepared["reshaped_input_sizes"] == [(32, 96)]


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, list])
def test_the_layout_of_arrays_may_be_told(make):
    narrow = clip(4)[:, :, :3]  # three columns, which could be colors, too
    first = np.ascontiguousarray(narrow.transpose(0, 3, 1, 2))

    as_last = prepare(make(narrow), input_data_format="channels_last")
    as_first = prepare(make(first), input_data_format="channels_first")

    assert torch.equal(as_first, as_last)
    assert torch.equal(as_last, prepare([*narrow]))


def test_the_result_may_have_its_channels_last():
    found = prepare(clip(2), data_format="channels_last")

    assert torch.equal(found.movedim(-1, 1), prepare(clip(2)))


def test_channels_stay_as_they_are_where_nothing_is_converted():
    gray = clip(2)[..., :1]

    found = prepare(gray, do_convert_rgb=False, image_mean=0.5, image_std=0.5)

    assert found.shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"num_frames": 3}, [0, 2, 5]),
        ({"fps": 2, "video_metadata": [{"total_num_frames": 8, "fps": 4}]}, [0, 2, 4, 6]),
        ({}, [*range(8)]),
    ],
)
def test_frames_are_sampled_at_equal_distances(asked, expected):
    processor = Sam2VideoVideoProcessor(size=SQUARE)

    prepared = processor(clip(8), do_sample_frames=True, return_metadata=True, **asked)

    (video,) = prepared["pixel_values_videos"]
    assert torch.equal(video, prepare(clip(8))[expected])
    assert [*prepared["video_metadata"][0].frames_indices] == expected


def test_frames_are_sampled_only_if_that_is_wanted():
    assert len(prepare(clip(8), num_frames=3)) == 8


def test_the_processor_may_sample_by_itself():
    processor = Sam2VideoVideoProcessor(size=SQUARE, do_sample_frames=True, num_frames=2)

    assert len(prepare(clip(8), processor)) == 2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"num_frames": 9}, "9 frames were requested from a video that has 8"),
        ({"fps": 2}, "an unknown frame rate"),
        ({"fps": 2, "num_frames": 2}, "Give one of them"),
    ],
)
def test_frames_that_cannot_be_sampled_are_refused(asked, message):
    with pytest.raises(VideoError, match=message):
        prepare(clip(8), do_sample_frames=True, **asked)


def test_the_metadata_of_a_video_are_told():
    prepared = Sam2VideoVideoProcessor(size=SQUARE)(clip(3), return_metadata=True)

    (about,) = prepared["video_metadata"]
    assert (about.total_num_frames, about.height, about.width) == (3, *SIZE)
    assert about.fps is None


OWN = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}


@pytest.fixture
def checkpoint(tiny_video_model, tmp_path):
    """A checkpoint with a normalization of its own; returns its model and its folder."""
    tiny_video_model.save_pretrained(tmp_path)
    Sam2VideoProcessor(Sam2ImageProcessor(size=SQUARE, **OWN)).save_pretrained(tmp_path)
    return type(tiny_video_model).from_pretrained(tmp_path).eval(), tmp_path


def own_pixels(compat):
    """The first frame of the clip, as that checkpoint wants it."""
    bytes_3ss = FramePixels(64, compat).shrink(clip(1)[0])
    return (bytes_3ss.double() / 255 - 0.5) / 0.25


@pytest.mark.parametrize("compat", ["sam2_hf", "transformers"])
def test_sessions_normalize_as_the_checkpoint_of_the_model_wants_it(checkpoint, compat):
    model, folder = checkpoint
    processor = Sam2VideoProcessor.from_pretrained(folder)
    stream = Sam2VideoInferenceSession.open(None, model, compat=compat)
    stream.frames.append(clip(1)[0])

    sessions = [
        Sam2VideoInferenceSession.open(clip(2), model, compat=compat),
        Sam2VideoInferenceSession.open(iter(clip(2)), model, compat=compat),
        VideoSegmentationPipeline(model, compat=compat).open(clip(2)),
        processor.init_video_session(clip(2), compat=compat),
        stream,
    ]

    expected = own_pixels("transformers" if compat == "transformers" else "official").float()
    for session in sessions:
        torch.testing.assert_close(session.get_frame(0), expected, rtol=0, atol=1e-5)


def test_a_saved_session_goes_on_with_the_checkpoints_normalization(checkpoint, tmp_path):
    model, _ = checkpoint
    Sam2VideoInferenceSession.open(clip(2), model).save(tmp_path / "job")

    session = Sam2VideoInferenceSession.load(tmp_path / "job", clip(2), model)

    expected = own_pixels("official").float()
    torch.testing.assert_close(session.get_frame(0), expected, rtol=0, atol=1e-5)


def test_an_image_processor_alone_tells_the_normalization_too(tiny_video_model, tmp_path):
    tiny_video_model.save_pretrained(tmp_path)
    Sam2Processor(Sam2ImageProcessor(size=SQUARE, **OWN)).save_pretrained(tmp_path)
    model = type(tiny_video_model).from_pretrained(tmp_path)

    assert checkpoint_pixels(model).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"video_processor": 3}', "[" * 10_000])
def test_a_damaged_processor_is_named(checkpoint, text):
    model, folder = checkpoint
    (folder / "processor_config.json").write_text(text)

    with pytest.raises(ImageError, match=re.escape(str(folder))):
        Sam2VideoInferenceSession.open(clip(2), model)


def test_a_model_of_no_checkpoint_has_the_released_normalization(tiny_video_model, tmp_path):
    tiny_video_model.save_pretrained(tmp_path)
    alone = type(tiny_video_model).from_pretrained(tmp_path)

    assert checkpoint_pixels(tiny_video_model) == RELEASED_PIXELS
    assert checkpoint_pixels(alone) == RELEASED_PIXELS


def test_a_processor_with_no_deviation_is_refused(checkpoint):
    model, folder = checkpoint
    broken = {"image_processor": {}, "video_processor": {"image_std": [0.0, 0.0, 0.0]}}
    (folder / "processor_config.json").write_text(json.dumps(broken))

    with pytest.raises(ImageError, match="std is"):
        Sam2VideoInferenceSession.open(clip(2), model)


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
    assert raw.dtype == torch.as_tensor(logits).dtype


def test_the_callers_masks_stay_arrays():
    masks = [np.zeros((1, 1, 4, 4), np.float32)]

    Sam2VideoVideoProcessor(size=SQUARE).post_process_masks(masks, [(8, 8)])

    assert isinstance(masks[0], np.ndarray)
