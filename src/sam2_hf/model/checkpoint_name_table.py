"""The table of names: what a weight is called in the original checkpoints, and what here.

Our names are those of transformers. A row stands for every tensor that its pattern fits: `.*` is a
weight and a bias, and `{block}` and the like run over what the config says there is. The file
`checkpoint_names.py` reads the table in both directions.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """One pattern of names, in the original checkpoints and in ours."""

    original: str
    ours: str


def _attention(original: str, ours: str) -> tuple[Row, ...]:
    """List the four projections of an attention."""
    inward = (Row(f"{original}.{part}_proj.*", f"{ours}.{part}_proj.*") for part in "qkv")
    return (*inward, Row(f"{original}.out_proj.*", f"{ours}.o_proj.*"))


def _head(original: str, ours: str) -> tuple[Row, ...]:
    """List the three layers of a prediction head; ours counts the hidden ones alone."""
    return (
        Row(f"{original}.layers.0.*", f"{ours}.proj_in.*"),
        Row(f"{original}.layers.1.*", f"{ours}.layers.0.*"),
        Row(f"{original}.layers.2.*", f"{ours}.proj_out.*"),
    )


# The original keeps one frequency matrix and four point embeddings; ours keeps the matrix twice
# and the embeddings as the rows of one tensor. These names are not in the table.
FREQUENCIES = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
OUR_FREQUENCIES = (
    "prompt_encoder.shared_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding",
)
POINT = "sam_prompt_encoder.point_embeddings.{point}.weight"
OUR_POINTS = "prompt_encoder.point_embed.weight"

_TRUNK = ("image_encoder.trunk.", "vision_encoder.backbone.")
_BLOCK = ("image_encoder.trunk.blocks.{block}.", "vision_encoder.backbone.blocks.{block}.")
_MASK_INPUT = ("sam_prompt_encoder.mask_downscaling.", "prompt_encoder.mask_embed.")
_TWO_WAY = ("sam_mask_decoder.transformer.", "mask_decoder.transformer.")
_LAYER = (
    "sam_mask_decoder.transformer.layers.{layer}.",
    "mask_decoder.transformer.layers.{layer}.",
)


def _under(prefixes: tuple[str, str], *rows: tuple[str, str]) -> tuple[Row, ...]:
    """Put a common beginning before each side of some rows."""
    return tuple(Row(prefixes[0] + original, prefixes[1] + ours) for original, ours in rows)


IMAGE_ROWS: tuple[Row, ...] = (
    Row("no_mem_embed", "no_memory_embedding"),
    *_under(
        _TRUNK,
        ("pos_embed", "pos_embed"),
        ("pos_embed_window", "pos_embed_window"),
        ("patch_embed.proj.*", "patch_embed.projection.*"),
    ),
    *_under(
        _BLOCK,
        ("norm1.*", "layer_norm1.*"),
        ("attn.qkv.*", "attn.qkv.*"),
        ("attn.proj.*", "attn.proj.*"),
        ("norm2.*", "layer_norm2.*"),
        ("mlp.layers.0.*", "mlp.proj_in.*"),
        ("mlp.layers.1.*", "mlp.proj_out.*"),
    ),
    # Only the blocks that widen the channels project their shortcut.
    Row(
        "image_encoder.trunk.blocks.{widening}.proj.*",
        "vision_encoder.backbone.blocks.{widening}.proj.*",
    ),
    Row("image_encoder.neck.convs.{level}.conv.*", "vision_encoder.neck.convs.{level}.*"),
    Row("sam_prompt_encoder.not_a_point_embed.weight", "prompt_encoder.not_a_point_embed.weight"),
    Row("sam_prompt_encoder.no_mask_embed.weight", "prompt_encoder.no_mask_embed.weight"),
    *_under(
        _MASK_INPUT,
        ("0.*", "conv1.*"),
        ("1.*", "layer_norm1.*"),
        ("3.*", "conv2.*"),
        ("4.*", "layer_norm2.*"),
        ("6.*", "conv3.*"),
    ),
    *_attention(_LAYER[0] + "self_attn", _LAYER[1] + "self_attn"),
    *_attention(_LAYER[0] + "cross_attn_token_to_image", _LAYER[1] + "cross_attn_token_to_image"),
    *_attention(_LAYER[0] + "cross_attn_image_to_token", _LAYER[1] + "cross_attn_image_to_token"),
    *_under(
        _LAYER,
        ("norm1.*", "layer_norm1.*"),
        ("norm2.*", "layer_norm2.*"),
        ("norm3.*", "layer_norm3.*"),
        ("norm4.*", "layer_norm4.*"),
        ("mlp.layers.0.*", "mlp.proj_in.*"),
        ("mlp.layers.1.*", "mlp.proj_out.*"),
    ),
    *_attention(
        _TWO_WAY[0] + "final_attn_token_to_image", _TWO_WAY[1] + "final_attn_token_to_image"
    ),
    *_under(_TWO_WAY, ("norm_final_attn.*", "layer_norm_final_attn.*")),
    *_under(
        ("sam_mask_decoder.", "mask_decoder."),
        ("iou_token.weight", "iou_token.weight"),
        ("mask_tokens.weight", "mask_tokens.weight"),
        ("obj_score_token.weight", "obj_score_token.weight"),
        ("output_upscaling.0.*", "upscale_conv1.*"),
        ("output_upscaling.1.*", "upscale_layer_norm.*"),
        ("output_upscaling.3.*", "upscale_conv2.*"),
        ("conv_s0.*", "conv_s0.*"),
        ("conv_s1.*", "conv_s1.*"),
    ),
    *_head(
        "sam_mask_decoder.output_hypernetworks_mlps.{mask}",
        "mask_decoder.output_hypernetworks_mlps.{mask}",
    ),
    *_head("sam_mask_decoder.iou_prediction_head", "mask_decoder.iou_prediction_head"),
    *_head("sam_mask_decoder.pred_obj_score_head", "mask_decoder.pred_obj_score_head"),
)

MEMORY_ROWS: tuple[Row, ...] = (
    Row("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    Row("no_mem_pos_enc", "no_memory_positional_encoding"),
    Row("no_obj_ptr", "no_object_pointer"),
    Row("mask_downsample.*", "mask_downsample.*"),
    *_attention(
        "memory_attention.layers.{memory_layer}.self_attn",
        "memory_attention.layers.{memory_layer}.self_attn",
    ),
    *_attention(
        "memory_attention.layers.{memory_layer}.cross_attn_image",
        "memory_attention.layers.{memory_layer}.cross_attn_image",
    ),
    *_under(
        ("memory_attention.layers.{memory_layer}.",) * 2,
        ("linear1.*", "linear1.*"),
        ("linear2.*", "linear2.*"),
        ("norm1.*", "layer_norm1.*"),
        ("norm2.*", "layer_norm2.*"),
        ("norm3.*", "layer_norm3.*"),
    ),
    Row("memory_attention.norm.*", "memory_attention.layer_norm.*"),
    # Four times convolution, normalisation, activation; then a convolution.
    *_under(
        ("memory_encoder.mask_downsampler.",) * 2,
        ("encoder.0.*", "layers.0.conv.*"),
        ("encoder.1.*", "layers.0.layer_norm.*"),
        ("encoder.3.*", "layers.1.conv.*"),
        ("encoder.4.*", "layers.1.layer_norm.*"),
        ("encoder.6.*", "layers.2.conv.*"),
        ("encoder.7.*", "layers.2.layer_norm.*"),
        ("encoder.9.*", "layers.3.conv.*"),
        ("encoder.10.*", "layers.3.layer_norm.*"),
        ("encoder.12.*", "final_conv.*"),
    ),
    Row("memory_encoder.pix_feat_proj.*", "memory_encoder.feature_projection.*"),
    *_under(
        (
            "memory_encoder.fuser.layers.{fuser_layer}.",
            "memory_encoder.memory_fuser.layers.{fuser_layer}.",
        ),
        ("gamma", "scale"),
        ("dwconv.*", "depthwise_conv.*"),
        ("norm.*", "layer_norm.*"),
        ("pwconv1.*", "pointwise_conv1.*"),
        ("pwconv2.*", "pointwise_conv2.*"),
    ),
    Row("memory_encoder.out_proj.*", "memory_encoder.projection.*"),
    *_head("obj_ptr_proj", "object_pointer_proj"),
)

# What SAM 2.1 added, with the config field that tells it from 2.0.
NO_OBJECT_ROW = Row("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter")
POINTER_TIME_ROW = Row("obj_ptr_tpos_proj.*", "temporal_positional_encoding_projection_layer.*")

ROWS = (*IMAGE_ROWS, *MEMORY_ROWS, NO_OBJECT_ROW, POINTER_TIME_ROW)
