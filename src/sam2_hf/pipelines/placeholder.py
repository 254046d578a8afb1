"""A small model with made-up weights, for trying everything out where no checkpoint can be had.

Its masks mean nothing. The weights follow from a seed and a formula, the same everywhere.
"""

import math

import torch
from torch import Tensor

from sam2_hf.model.configuration_sam2 import Sam2Config
from sam2_hf.model.modeling_sam2 import Sam2Model

SEED = 7
SIDE = 256  # input size, model pixels
WIDTH = 64  # channels of the neck, the prompt encoder and the mask decoder
CONFIDENCE = 2.5  # logit of the predicted IoU, above the usual threshold
GAINS = {  # by part of the name; chosen so that masks have few pieces and firm edges
    "_image.q_proj.weight": 2.0,
    "_token.q_proj.weight": 2.0,
    "mask_decoder.conv_s": 0.7,
    "hypernetworks_mlps.0.proj_out.weight": 40.0,
    "hypernetworks_mlps.1.proj_out.weight": 40.0,
    "hypernetworks_mlps.2.proj_out.weight": 40.0,
    "hypernetworks_mlps.3.proj_out.weight": 40.0,
}


def placeholder_model() -> Sam2Model:
    """Make the model, on the CPU, in eval mode."""
    with torch.device("meta"):
        model = Sam2Model(placeholder_config())
    generator = torch.Generator().manual_seed(SEED)
    weights = {
        name: _drawn(name, tensor.shape, generator)
        for name, tensor in sorted(model.state_dict().items())
    }
    for name, same_as in _twins(weights):
        weights[name] = weights[same_as].clone()
    model.load_state_dict(weights, assign=True)
    return model.eval()


def placeholder_config() -> Sam2Config:
    """Describe the model: the layout of SAM 2.1 tiny, a third as wide and a quarter as large."""
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
    return Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": SIDE},
        mask_decoder_config={
            "hidden_size": WIDTH,
            "mlp_dim": 4 * WIDTH,
            "iou_head_hidden_dim": WIDTH,
        },
    )


def _drawn(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw a weight so that signals keep their size, then adjust those that shape the masks."""
    values = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        values = 0.02 * values + float(name.endswith("weight"))
    elif not name.endswith("positional_embedding"):
        values = values / math.sqrt(math.prod(shape[1:]))
    if "upscale_conv" in name and len(shape) > 1:
        values = 2 * values[..., :1, :1].expand(shape).contiguous()  # no checkerboards
    if name.endswith("iou_prediction_head.proj_out.bias"):
        values = values + CONFIDENCE
    return values * next((gain for part, gain in GAINS.items() if part in name), 1.0)


def _twins(weights: dict[str, Tensor]) -> list[tuple[str, str]]:
    """List weights that equal another one: one position code; keys that match their queries."""
    image, prompt = "shared_image_embedding", "prompt_encoder.shared_embedding"
    twins = [(f"{prompt}.positional_embedding", f"{image}.positional_embedding")]
    keys = [name for name in weights if "image" in name and name.endswith("k_proj.weight")]
    return [*twins, *((name, name.replace("k_proj", "q_proj")) for name in keys)]
