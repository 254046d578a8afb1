"""The least models of the other families, for tests: 128 channels, a few layers, small input.

EdgeTAM and SAM 3's tracker have configs in transformers' format; all fields are set that differ
from the published models'.
"""

from sam2_hf.model.configs.configuration_sam2_video import (
    EdgeTamVideoConfig,
    EfficientTamVideoConfig,
    Sam3TrackerVideoConfig,
)

SIDE = 64
WIDTH, MEMORY_WIDTH = 128, 64  # transformers knows no EdgeTAM with narrower memories
SMALL_PARTS = {
    "prompt_encoder_config": {"hidden_size": WIDTH, "image_size": SIDE},
    "mask_decoder_config": {"hidden_size": WIDTH, "mlp_dim": 64, "iou_head_hidden_dim": WIDTH},
}
SMALL_MEMORY = {
    "memory_attention_hidden_size": WIDTH,
    "memory_attention_num_layers": 2,
    "memory_encoder_hidden_size": WIDTH,
    "memory_encoder_output_channels": MEMORY_WIDTH,
    "mask_downsampler_embed_dim": WIDTH,
    "memory_fuser_embed_dim": WIDTH,
    "memory_fuser_intermediate_dim": 64,
}


def edgetam_config(**changes):
    """EdgeTAM with one or two blocks per stage, 4 free latents and 2 x 2 placed ones."""
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "model_args": {
            "in_chans": 3,
            "features_only": True,
            "out_indices": [0, 1, 2, 3],
            "embed_dim": [8, 16, 24, 32],
            "depth": [1, 1, 2, 1],
        },
        "num_classes": 2,
        "label_names": ["tench", "goldfish"],  # as timm's wrapper writes them
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [32, 24, 16, 8],
        "backbone_feature_sizes": [[SIDE // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": WIDTH,
    }
    fields = {
        **SMALL_PARTS,
        **SMALL_MEMORY,
        "vision_config": vision,
        "image_size": SIDE,
        "memory_attention_mlp_hidden_size": 64,
        "memory_attention_rope_feat_sizes": [SIDE // 16] * 2,
        "memory_attention_rope_k_sizes": [2, 2],
        "perceiver_resampler_num_latents": 4,
        "perceiver_resampler_num_latents_2d": 4,
        "perceiver_resampler_hidden_size": MEMORY_WIDTH,
        "perceiver_resampler_attention_head_dim": MEMORY_WIDTH,
        "perceiver_resampler_mlp_intermediate_size": 32,
    }
    return EdgeTamVideoConfig(**fields | changes)


def sam3_config(**changes):
    """SAM 3's tracker on 112 pixels, 8 x 8 patches, with two layers of which one has windows."""
    side, patch = 112, 14
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": patch,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "backbone_feature_sizes": [[times * side // patch] * 2 for times in (4, 2, 1)],
        "fpn_hidden_size": WIDTH,
    }
    prompts = SMALL_PARTS["prompt_encoder_config"] | {"image_size": side, "patch_size": patch}
    fields = {
        **SMALL_PARTS,
        **SMALL_MEMORY,
        "prompt_encoder_config": prompts,
        "vision_config": vision,
        "image_size": side,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_rope_feat_sizes": [side // patch] * 2,
    }
    return Sam3TrackerVideoConfig(**fields | changes)


def efficienttam_config(**changes):
    """EfficientTAM with two blocks, of which one has windows, on 8 x 8 cells."""
    side = 128
    backbone = {
        "model_type": "efficienttam_vit_model",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "pretrain_image_size": 80,
        "window_size": 5,
        "global_attention_blocks": [1],
    }
    vision = {
        "model_type": "efficienttam_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [32],
        "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": WIDTH,
    }
    fields = {
        **SMALL_PARTS,
        **SMALL_MEMORY,
        "prompt_encoder_config": SMALL_PARTS["prompt_encoder_config"] | {"image_size": side},
        "vision_config": vision,
        "image_size": side,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_rope_feat_sizes": [side // 16] * 2,
    }
    return EfficientTamVideoConfig(**fields | changes)


CONFIGS = {
    "edgetam": edgetam_config,
    "sam3_tracker": sam3_config,
    "efficienttam": efficienttam_config,
}
