import copy

import pytest
import torch
from peers import largest_difference, peer_of
from torch import nn
from transformers import PreTrainedConfig

from sam2_hf import Sam2VisionConfig, Sam2VisionModel
from sam2_hf.model import image_encoder
from sam2_hf.model.configs import configuration_checks
from sam2_hf.model.configs.configuration_sam2 import BACKBONE_CONFIGS
from sam2_hf.model.outputs import Sam2HieraDetModelOutput, Sam2VisionEncoderOutput

SAME_SUMS = 1e-5  # features are of order 1; sums in another order differ in float32's last digits


@pytest.fixture(scope="module")
def encoder(drawn_model):
    return drawn_model.vision_encoder


@torch.no_grad()
def test_features_and_positions_equal_transformers(encoder, pictures):
    ours, theirs = encoder(pictures), peer_of(encoder)(pictures)

    assert largest_difference(ours.last_hidden_state, theirs.last_hidden_state) <= SAME_SUMS
    for name in ("fpn_hidden_states", "fpn_position_encoding"):
        assert len(ours[name]) == len(theirs[name]) == 3
        for our_map, their_map in zip(ours[name], theirs[name], strict=True):
            assert largest_difference(our_map, their_map) <= SAME_SUMS


@torch.no_grad()
def test_only_the_wanted_levels_are_handed_out_finest_first(tiny_config, pictures):
    config = copy.deepcopy(tiny_config.vision_config)
    config.num_feature_levels = 2

    features = Sam2VisionModel(config)(pictures)

    sizes = [level.shape[-1] for level in features.fpn_hidden_states]
    assert sizes == [16, 8]
    assert [p.shape for p in features.fpn_position_encoding] == [
        m.shape for m in features.fpn_hidden_states
    ]


@torch.no_grad()
def test_what_the_trunk_records_is_handed_on(own_model, pictures):
    features = own_model.vision_encoder(pictures, output_hidden_states=True, output_attentions=True)

    assert len(features.hidden_states) == 6
    assert len(features.attentions) == 5
    assert features.hidden_states[0].shape == (2, 16, 16, 16)


@torch.no_grad()
def test_a_tuple_holds_the_same_values(encoder, pictures):
    features = encoder(pictures)

    last, maps, positions = encoder(pictures, return_dict=False)

    assert torch.equal(last, features.last_hidden_state)
    assert all(map(torch.equal, maps, features.fpn_hidden_states))
    assert all(map(torch.equal, positions, features.fpn_position_encoding))


@torch.no_grad()
def test_encoding_alone_makes_no_positions(encoder, pictures):
    features = encoder.encode(pictures)

    assert isinstance(features, Sam2VisionEncoderOutput)
    assert features.fpn_position_encoding is None


def test_input_embedding_is_the_patch_embedding(encoder):
    assert encoder.get_input_embeddings() is encoder.backbone.patch_embed


def test_an_encoder_without_pictures_says_so(encoder):
    with pytest.raises(ValueError, match="pixel_values is None: pass the pictures"):
        encoder()


def test_gradients_reach_recorded_states(own_model, pictures):
    encoder = own_model.vision_encoder
    encoder.set_attn_implementation("eager")

    features = encoder(pictures, output_hidden_states=True, output_attentions=True)
    first, attention = features.hidden_states[0], features.attentions[0]
    first.retain_grad()
    attention.retain_grad()
    features.fpn_hidden_states[-1].sum().backward()

    assert first.grad.abs().sum() > 0
    assert attention.grad.abs().sum() > 0


def test_saved_and_loaded_on_its_own(encoder, pictures, tmp_path):
    encoder.save_pretrained(tmp_path)

    loaded = Sam2VisionModel.from_pretrained(tmp_path)

    with torch.no_grad():
        assert torch.equal(loaded(pictures).last_hidden_state, encoder(pictures).last_hidden_state)


class PlainConfig(PreTrainedConfig):
    """Describe a backbone of one convolution for each stage."""

    model_type = "plain_convolutions"


class PlainBackbone(nn.Module):
    """Four stages, each half as large as the one before."""

    def __init__(self, config):
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(3, width, 4 * 2**n, 4 * 2**n) for n, width in STAGES)

    def forward(self, pixel_values, **kwargs):
        maps = tuple(stage(pixel_values).permute(0, 2, 3, 1) for stage in self.stages)
        return Sam2HieraDetModelOutput(maps[-1], maps)


STAGES = tuple(enumerate((8, 16, 24, 32)))


@torch.no_grad()
def test_the_config_chooses_the_backbone_by_its_type(monkeypatch, pictures):
    kind = PlainConfig.model_type
    monkeypatch.setitem(BACKBONE_CONFIGS, kind, PlainConfig)
    monkeypatch.setitem(image_encoder.BACKBONES, kind, PlainBackbone)
    known = (*configuration_checks.PARTS["backbone_config"], kind)
    monkeypatch.setitem(configuration_checks.PARTS, "backbone_config", known)
    config = Sam2VisionConfig(
        backbone_config={"model_type": kind}, backbone_channel_list=[32, 24, 16, 8]
    )

    features = Sam2VisionModel(config)(pictures)

    assert [level.shape[1:] for level in features.fpn_hidden_states] == [
        (256, 16, 16),
        (256, 8, 8),
        (256, 4, 4),
    ]
    rebuilt = Sam2VisionConfig(**config.to_dict())
    assert type(rebuilt.backbone_config) is PlainConfig


def test_a_backbone_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"model_type is 'repvit'; choose one of sam2_hiera_det_"):
        Sam2VisionConfig(backbone_config={"model_type": "repvit"})
