"""EfficientTAM's image encoder."""

import pytest
import torch
from peers import draw_weights

import sam2_hf
from sam2_hf.model.vitdet import EfficientTamVisionModel
from tests.small_families import WIDTH, efficienttam_config


@pytest.fixture(scope="module")
def encoder():
    return draw_weights(EfficientTamVisionModel(efficienttam_config().vision_config)).eval()


@torch.no_grad()
def test_the_two_finer_maps_are_zeros_that_take_no_memory(encoder):
    fine, coarse, embedding = encoder(torch.randn(2, 3, 128, 128)).fpn_hidden_states

    shapes = [tuple(level.shape) for level in (fine, coarse, embedding)]
    assert shapes == [(2, WIDTH // 8, 32, 32), (2, WIDTH // 4, 16, 16), (2, WIDTH, 8, 8)]
    assert not fine.any()
    assert not coarse.any()
    assert fine.untyped_storage().nbytes() <= 4


@torch.no_grad()
def test_the_position_table_follows_its_weights(encoder):
    backbone = encoder.backbone
    before = backbone._position_table(8, 8)
    assert backbone._position_table(8, 8) is before

    backbone.pos_embed.data[0, 1] += 1

    assert not torch.equal(backbone._position_table(8, 8), before)


def test_a_decoder_without_finer_maps_has_no_weights_for_them():
    model = sam2_hf.Sam2VideoModel(efficienttam_config())

    assert not [name for name in model.state_dict() if "conv_s0" in name or "conv_s1" in name]


def test_the_last_block_has_to_see_the_whole_grid():
    config = efficienttam_config()
    config.vision_config.backbone_config.global_attention_blocks = [0]

    with pytest.raises(sam2_hf.CheckpointError, match="global_attention_blocks"):
        sam2_hf.Sam2VideoModel(config)
