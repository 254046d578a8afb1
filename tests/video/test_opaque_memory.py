"""A spatial memory is the model's own affair: sessions keep it, whatever it looks like."""

import pytest
import torch

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, noise_clip

CLIP = noise_clip(10)


class TokenMemoryModel(Sam2VideoModel):
    """Makes tokens instead of maps, `(b, n, c)`, as models do that resample their memories."""

    @property
    def memory_shape(self):
        return self.num_memory_tokens, self.mem_dim

    def encode_memory(self, *args, **options):
        return super().memory_tokens(super().encode_memory(*args, **options))

    def memory_tokens(self, memory_bx):
        return memory_bx


@pytest.fixture(scope="module")
def model():
    drawn = drawn_video_model()
    model = TokenMemoryModel(drawn.config).eval()
    model.load_state_dict(drawn.state_dict())
    return model


def drawn_session(model, **options):
    session = Sam2VideoInferenceSession.open(CLIP, model, **options)
    session.click(0, 1, (20, 20))
    session.click(3, 2, (40, 30))
    return session


def logits(results):
    return [result.logits_bhw for result in results]


def test_a_session_tracks_with_memories_that_are_no_maps(model):
    expected = logits(drawn_session(drawn_video_model()).propagate())

    found = logits(drawn_session(model).propagate())

    assert all(map(torch.equal, found, expected))


def test_tensors_of_fixed_shape_hold_them_too(model, monkeypatch):
    monkeypatch.setattr("sam2_hf.video.compiled_steps.Compiled", lambda step: step)
    expected = logits(drawn_session(drawn_video_model(), compile=True).propagate())

    found = logits(drawn_session(model, compile=True).propagate())

    assert all(map(torch.equal, found, expected))


def test_they_are_saved_and_read_again(model, tmp_path):
    session = drawn_session(model)
    expected = logits(drawn_session(model).propagate())
    found = logits(session.propagate(limit=6))
    session.save(tmp_path / "job")

    again = Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, model)

    found += logits(again.propagate(start=6))
    assert all(map(torch.equal, found, expected))
