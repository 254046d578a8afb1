import pytest
import torch

from sam2_hf.errors import SessionError
from sam2_hf.frames.open import open_frames
from sam2_hf.model.outputs import FrameFeatures
from sam2_hf.video.frame_encoder import FeatureCache, FrameEncoder
from sam2_hf.video.session_options import SessionOptions
from tests.fakes import SIDE, FakeModel, fake_clip


class Encoder:
    """Encodes a frame to its number, and counts."""

    def __init__(self, cache):
        self.cache, self.encoded, self.held = cache, [], []

    def ask(self, *frames):
        return [self.cache.get(frame, lambda number=frame: self.encode(number)) for frame in frames]

    def encode(self, frame):
        self.encoded.append(frame)
        self.held.append(self.cache.num_bytes)
        return FrameFeatures(*(torch.full((1, 1, size, size), float(frame)) for size in (4, 2, 1)))


def test_a_frame_is_encoded_once_and_shared():
    encoder = Encoder(FeatureCache(1))

    first, again = encoder.ask(3, 3)

    assert first is again
    assert encoder.encoded == [3]


def test_what_was_used_longest_ago_goes_first():
    """Transformers drops the lowest frame number, the newest one when going backward."""
    encoder = Encoder(FeatureCache(2))

    encoder.ask(9, 8, 9, 7)
    encoder.ask(9, 7)

    assert encoder.encoded == [9, 8, 7]


def test_no_more_frames_are_held_than_allowed_even_while_encoding():
    cache = FeatureCache(2)
    encoder = Encoder(cache)

    encoder.ask(*range(10))

    one = 4 * (16 + 4 + 1)
    assert cache.num_bytes == 2 * one
    assert max(encoder.held) == one


def test_a_discarded_frame_is_encoded_anew_and_others_are_not():
    cache = FeatureCache(2)
    encoder = Encoder(cache)
    encoder.ask(0, 1)

    cache.discard(0)
    cache.discard(5)
    encoder.ask(0, 1)

    assert encoder.encoded == [0, 1, 0]


def test_a_cleared_cache_holds_nothing():
    cache = FeatureCache(2)
    Encoder(cache).ask(0, 1)

    cache.clear()

    assert cache.num_bytes == 0


def test_a_frame_that_cannot_be_encoded_is_not_kept():
    cache = FeatureCache(1)

    with pytest.raises(OSError, match="torn"):
        cache.get(0, lambda: (_ for _ in ()).throw(OSError("torn")))

    assert Encoder(cache).ask(0)[0].embedding_bchw.item() == 0.0


def test_other_frames_take_the_place_of_those_before():
    model = FakeModel()
    first, second = (open_frames(fake_clip(count), image_size=SIDE) for count in (3, 5))
    encoder = FrameEncoder(first, SessionOptions(), model)
    encoder.encode(0)

    encoder.exchange_frames(second)
    encoder.encode(0)

    assert encoder.frames.num_frames == 5
    assert model.encoded == [0, 0]


def test_a_model_of_another_input_size_is_refused():
    frames = open_frames(fake_clip(3), image_size=SIDE)
    encoder = FrameEncoder(frames, SessionOptions(), image_size=2 * SIDE)

    with pytest.raises(SessionError, match=f"input size of {2 * SIDE}"):
        encoder.require_input_size(FakeModel())
