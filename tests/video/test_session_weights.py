"""A session whose model changes under it: features and open answers follow the weights."""

import copy

import pytest
import torch
from torch import nn

from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, noise_clip


def scale_all(model):
    for weight in model.vision_encoder.parameters():
        weight.data.mul_(1.05)


def write_one_channel(model):
    model.vision_encoder.neck.convs[0].weight.data[3] += 5


def write_where_maps_are_narrowed(model):
    with torch.no_grad():
        model.mask_decoder.conv_s0.weight.mul_(1.5)


def cast(model):
    model.bfloat16()


class Adapted(nn.Module):
    """A layer with a low-rank update."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, 2, bias=False)
        self.up = nn.Linear(2, layer.out_features, bias=False)
        for update in (self.down, self.up):
            nn.init.constant_(update.weight, 0.1)

    def forward(self, x):
        return self.layer(x) + self.up(self.down(x))


def attach_adapter(model):
    attention = model.vision_encoder.backbone.blocks[0].attn
    attention.proj = Adapted(attention.proj)


CHANGES = [scale_all, write_one_channel, write_where_maps_are_narrowed, cast, attach_adapter]


def opened(model, **options):
    session = Sam2VideoInferenceSession.open(noise_clip(4), model, **options)
    session.click(0, 1, (20, 20))
    return session


@pytest.fixture
def model():
    return copy.deepcopy(drawn_video_model())


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_features_follow_a_change_of_the_weights(model, change):
    session = opened(model, cached_features=4)
    for frame in range(3):
        session.preview(frame)

    change(model)
    found = list(session.propagate())
    fresh = list(opened(model).propagate())

    for ours, expected in zip(found, fresh, strict=True):
        assert torch.equal(ours.logits_bhw, expected.logits_bhw)


def test_a_frame_that_is_shown_again_follows_a_change_of_the_weights(model):
    session = opened(model)
    before = session.preview(0).logits_bhw

    scale_all(model)
    after = session.preview(0).logits_bhw

    assert not torch.equal(after, before)
    assert torch.equal(after, opened(model).preview(0).logits_bhw)


def test_what_is_remembered_stays_when_weights_change(model):
    session = opened(model)
    first = next(session.propagate())

    scale_all(model)
    again = next(session.propagate())

    assert torch.equal(again.logits_bhw, first.logits_bhw)


def test_a_frame_is_encoded_once_while_the_weights_stay(model, monkeypatch):
    session, encoded, encode = opened(model, cached_features=4), [], model.encode_image
    monkeypatch.setattr(model, "encode_image", lambda x: encoded.append(1) or encode(x))

    for _ in range(2):
        session.preview(0)
        list(session.propagate())

    assert len(encoded) == 4


def test_a_closed_session_holds_no_weights(model):
    session = opened(model)
    session.preview(0)

    session.close()

    assert not session._tracker.encoder._weights.has_seen
