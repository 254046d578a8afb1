import numpy as np
import pytest
import torch
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from sam2_hf.data.clip import Clip, collate, normalize
from sam2_hf.frames.preprocessing import FramePixels


def clip(num_objects, name="a", num_frames=2, side=8):
    rng = np.random.default_rng(num_objects)
    frames = rng.integers(0, 256, (num_frames, side, side, 3), dtype=np.uint8)
    masks = np.ones((num_objects, num_frames, side, side), np.bool_)
    return Clip(frames, masks, name)


@pytest.fixture
def batch():
    return collate([clip(1), clip(3, "b")], [7, 2**62], "squares")


def test_a_batch_has_the_shapes_the_model_takes(batch):
    assert batch.clips_bt3hw.shape == (2, 2, 3, 8, 8)
    assert batch.clips_bt3hw.dtype == torch.float32
    assert batch.labels_bothw.shape == (2, 3, 2, 8, 8)
    assert batch.labels_bothw.dtype == torch.bool
    assert batch.seeds_b.tolist() == [7, 2**62]
    assert (batch.names, batch.source) == (("a", "b"), "squares")


def test_padding_is_empty_and_not_counted(batch):
    assert not batch.labels_bothw[0, 1:].any()
    assert batch.labels_bothw[0, 0].all()
    assert batch.num_objects == 4


def test_frames_are_normalized_as_the_video_session_does():
    frames = clip(1).frames_thw3

    found = normalize(torch.from_numpy(frames))

    expected = FramePixels(8).normalize(torch.from_numpy(frames).permute(0, 3, 1, 2))
    assert torch.equal(found, expected)


def test_normalizing_takes_off_the_mean():
    gray = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)

    found = normalize(gray)[0, :, 0, 0]

    pairs = zip(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, strict=True)
    assert found.tolist() == pytest.approx([(1 - mean) / std for mean, std in pairs])


def test_a_batch_moves_whole(batch):
    moved = batch.to("meta")

    tensors = moved.frames_bthw3, moved.labels_bothw, moved.seeds_b
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (moved.names, moved.skipped) == (batch.names, batch.skipped)
