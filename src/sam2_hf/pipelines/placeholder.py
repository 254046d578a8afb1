"""Small models with made-up weights, for trying everything out where no checkpoint can be had.

Its masks mean nothing. The weights follow from a seed and a formula, the same everywhere.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from sam2_hf.model.configuration_sam2 import Sam2Config
from sam2_hf.model.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

AnyModel = TypeVar("AnyModel", Sam2Model, Sam2VideoModel)

SEED = 7
SIDE = 256  # input size, model pixels
WIDTH = 64  # channels of the neck, the prompt encoder and the mask decoder
CONFIDENT = ("iou_prediction_head.proj_out.bias", "pred_obj_score_head.proj_out.bias")
CONFIDENCE = 2.5  # logit of the predicted IoU, above the usual threshold; every object is in view
GAINS = {  # by part of the name; chosen so that masks have few pieces and firm edges
    "_image.q_proj.weight": 2.0,
    "_token.q_proj.weight": 2.0,
    "mask_decoder.conv_s": 0.7,
    "hypernetworks_mlps.0.proj_out.weight": 40.0,
    "hypernetworks_mlps.1.proj_out.weight": 40.0,
    "hypernetworks_mlps.2.proj_out.weight": 40.0,
    "hypernetworks_mlps.3.proj_out.weight": 40.0,
}
# Another draw, since it is memory that shapes the masks of tracked frames; chosen so that objects
# differ from each other and leave some of the frame free.
VIDEO_SEED = 897
VIDEO_GAINS = {
    "linear2": 0.3,
    "memory_attention.layer_norm.weight": 2.0,
    "cross_attn_image.o_proj": 3.0,
    "object_pointer_proj": 4.0,
    **GAINS,
}


def placeholder_model() -> Sam2Model:
    """Make the image model, on the CPU, in eval mode."""
    with torch.device("meta"):
        model = Sam2Model(placeholder_config())
    return _with_weights(model, SEED, GAINS)


def placeholder_video_model() -> Sam2VideoModel:
    """Make the video model, on the CPU, in eval mode."""
    with torch.device("meta"):
        model = Sam2VideoModel(placeholder_video_config())
    return _with_weights(model, VIDEO_SEED, VIDEO_GAINS)


def placeholder_config() -> Sam2Config:
    """Describe the model: the layout of SAM 2.1 tiny, a third as wide and a quarter as large."""
    return Sam2Config(**_parts())


def placeholder_video_config() -> Sam2VideoConfig:
    """Describe the video model: the same parts, and a memory of the same proportions."""
    grid = SIDE // 16
    return Sam2VideoConfig(
        **_parts(),
        image_size=SIDE,
        memory_attention_hidden_size=WIDTH,
        memory_attention_feed_forward_hidden_size=8 * WIDTH,
        memory_attention_rope_feat_sizes=[grid, grid],
        memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=WIDTH // 4,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=4 * WIDTH,
    )


def _parts() -> dict[str, dict[str, Any]]:
    """Describe the parts that both models have."""
    trunk = {
        "hidden_size": 32,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 2, 3, 1],
        "embed_dim_per_stage": [32, 64, 128, 256],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 7, 4],
        "global_attention_blocks": [4],
    }
    vision = {
        "backbone_config": trunk,
        "backbone_channel_list": [256, 128, 64, 32],
        "backbone_feature_sizes": [[SIDE // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": WIDTH,
    }
    decoder = {"hidden_size": WIDTH, "mlp_dim": 4 * WIDTH, "iou_head_hidden_dim": WIDTH}
    return {
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": WIDTH, "image_size": SIDE},
        "mask_decoder_config": decoder,
    }


def _with_weights(model: AnyModel, seed: int, gains: Mapping[str, float]) -> AnyModel:
    """Draw the weights of an empty model."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: _drawn(name, tensor.shape, generator) * _gain(name, gains)
        for name, tensor in sorted(model.state_dict().items())
    }
    for name, same_as in _twins(weights):
        weights[name] = weights[same_as].clone()
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _drawn(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw a weight so that signals keep their size."""
    values = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        values = 0.02 * values + float(name.endswith("weight"))
    elif not name.endswith("positional_embedding"):
        values = values / math.sqrt(math.prod(shape[1:]))
    if "upscale_conv" in name and len(shape) > 1:
        values = 2 * values[..., :1, :1].expand(shape).contiguous()  # no checkerboards
    if name.endswith(CONFIDENT):
        values = values + CONFIDENCE
    return values


def _gain(name: str, gains: Mapping[str, float]) -> float:
    return next((gain for part, gain in gains.items() if part in name), 1.0)


def _twins(weights: dict[str, Tensor]) -> list[tuple[str, str]]:
    """List weights that equal another one: one position code; keys that match their queries."""
    image, prompt = "shared_image_embedding", "prompt_encoder.shared_embedding"
    twins = [(f"{prompt}.positional_embedding", f"{image}.positional_embedding")]
    decoder = [name for name in weights if name.startswith("mask_decoder.")]
    keys = [name for name in decoder if "image" in name and name.endswith("k_proj.weight")]
    return [*twins, *((name, name.replace("k_proj", "q_proj")) for name in keys)]
