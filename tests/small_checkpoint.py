"""An original checkpoint of the least size, for tests of files and downloads."""

import torch
from transformers import Sam2VideoConfig as PeerConfig, Sam2VideoModel as PeerModel

from sam2_hf.model.checkpoints.checkpoint_names import to_original
from sam2_hf.model.configs.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

SIDE = 64


def small_config(**changes):
    """A SAM 2.1 with one block per stage and 32 channels; it was never released."""
    trunk = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2],
        global_attention_blocks=[2],
    )
    vision = Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[SIDE // stride] * 2 for stride in (4, 8, 16)],
        fpn_hidden_size=32,
    )
    fields = {
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": 32, "image_size": SIDE},
        "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 64, "iou_head_hidden_dim": 32},
        "image_size": SIDE,
        "memory_attention_hidden_size": 32,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_rope_feat_sizes": [SIDE // 16] * 2,
        "memory_encoder_hidden_size": 32,
        "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": 32,
        "memory_fuser_embed_dim": 32,
        "memory_fuser_intermediate_dim": 64,
    }
    return Sam2VideoConfig(**fields | changes)


def meta_weights(config):
    """The weights that transformers' video model has for a config, as shapes without content."""
    with torch.device("meta"):
        return PeerModel(PeerConfig.from_dict(config.to_dict())).state_dict()


def small_original(config=None, seed=0):
    """Random weights of the small model by their original names."""
    random = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(tensor.shape, generator=random) * 0.1
        for name, tensor in meta_weights(config or small_config()).items()
    }
    weights["prompt_encoder.shared_embedding.positional_embedding"] = weights[
        "shared_image_embedding.positional_embedding"
    ]
    return to_original(weights)


def save_original(path, weights=None):
    """Write an original `.pt`; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": weights if weights is not None else small_original()}, path)
    return path
