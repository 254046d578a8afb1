"""The least models of the other families, for tests: 128 channels, a few layers, small input.

EdgeTAM and SAM 3's tracker have configs in transformers' format; all fields are set that differ
from the published models'.
"""

from sam2_hf.model.configuration_sam2_video import EdgeTamVideoConfig

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


CONFIGS = {"edgetam": edgetam_config}
