"""Weight names of the original checkpoints and ours: one table, read in both directions.

Our names are those of transformers. A row stands for every tensor that matches its pattern: `.*` is
a weight and a bias, and placeholders such as `{block}` run over the indices that the config
implies.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

from .checkpoint_errors import CheckpointError


class Row(NamedTuple):
    """One pattern of names, in the original checkpoints and in ours."""

    original: str
    ours: str


def _attention(original: str, ours: str) -> tuple[Row, ...]:
    """List the four projections of an attention."""
    inward = (Row(f"{original}.{part}_proj.*", f"{ours}.{part}_proj.*") for part in "qkv")
    return (*inward, Row(f"{original}.out_proj.*", f"{ours}.o_proj.*"))


def _head(original: str, ours: str) -> tuple[Row, ...]:
    """List the three layers of a prediction head; ours numbers only the hidden ones."""
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
    """Prefix both sides of some rows."""
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
    # Only blocks that widen the channels project their shortcut.
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
    # Convolution, normalization, activation four times; then a convolution.
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

# Weights that SAM 2.1 added, with the config fields that distinguish it from 2.0.
NO_OBJECT_ROW = Row("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter")
POINTER_TIME_ROW = Row("obj_ptr_tpos_proj.*", "temporal_positional_encoding_projection_layer.*")

ROWS = (*IMAGE_ROWS, *MEMORY_ROWS, NO_OBJECT_ROW, POINTER_TIME_ROW)


NAMES_SHOWN = 5  # in an error message


class _Pattern(NamedTuple):
    """One row, compiled to translate names in one direction."""

    finds: re.Pattern[str]
    writes: str


def _compile(source: str, target: str) -> _Pattern:
    """Turn `a.{block}.b.*` into a regular expression and the template of the other side."""
    number, leaf = r"(?P<number>\d+)", r"\.(?P<leaf>weight|bias)"
    finds = re.sub(r"\\{\w+\\}", lambda _: number, re.escape(source)).replace(r"\.\*", leaf)
    writes = re.sub(r"{\w+}", lambda _: r"\g<number>", target).replace(".*", r".\g<leaf>")
    return _Pattern(re.compile(finds), writes)


_FORWARD = tuple(_compile(row.original, row.ours) for row in ROWS)
_BACKWARD = tuple(_compile(row.ours, row.original) for row in ROWS)
_POINT = _compile(POINT, "").finds


def _translate(name: str, patterns: Iterable[_Pattern]) -> str | None:
    """Return the name on the other side, None if no row matches."""
    for pattern in patterns:
        if found := pattern.finds.fullmatch(name):
            return found.expand(pattern.writes)
    return None


def is_original_name(name: str) -> bool:
    """Tell whether original SAM 2 checkpoints have tensors of this name."""
    if name == FREQUENCIES or _POINT.fullmatch(name):
        return True
    return _translate(name, _FORWARD) is not None


def is_our_name(name: str) -> bool:
    """Tell whether checkpoints in transformers' format have tensors of this name."""
    special = name == OUR_POINTS or name in OUR_FREQUENCIES
    return special or _translate(name, _BACKWARD) is not None


def to_ours(original: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of an original checkpoint, whole or in part.

    Args:
        original: Tensors by their original names.

    Returns:
        The same tensors by our names. The point embeddings become the rows of one tensor, the
        frequency matrix is duplicated; no two entries share memory.

    Raises:
        CheckpointError: If a name is not that of a SAM 2 weight.
    """
    _require_known(original, is_original_name, "the original checkpoints")
    renamed: dict[str, Tensor] = {}
    for name, tensor in original.items():
        if name == FREQUENCIES:
            renamed[OUR_FREQUENCIES[0]] = tensor
            renamed[OUR_FREQUENCIES[1]] = tensor.clone()
        elif ours := _translate(name, _FORWARD):
            renamed[ours] = tensor
    points = [name for name in original if _POINT.fullmatch(name)]
    if points:
        ordered = sorted(points, key=lambda name: int(name.split(".")[2]))
        renamed[OUR_POINTS] = torch.cat([original[name] for name in ordered])
    return renamed


def to_original(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights their original names; the exact inverse of `to_ours`.

    Args:
        ours: Tensors by our names.

    Returns:
        The same tensors by their original names; no two entries share memory.

    Raises:
        CheckpointError: If a name is not that of a SAM 2 weight, or if the two copies of the
            frequency matrix differ, since the original format has room for one.
    """
    _require_known(ours, is_our_name, "transformers' format")
    copies = [ours[name] for name in OUR_FREQUENCIES if name in ours]
    if any(not torch.equal(copy, copies[0]) for copy in copies[1:]):
        raise CheckpointError(
            f"{OUR_FREQUENCIES[0]} and {OUR_FREQUENCIES[1]} differ, but the original format keeps "
            "them as one tensor. Make them equal first."
        )
    renamed = {FREQUENCIES: copies[0]} if copies else {}
    for name, tensor in ours.items():
        if name == OUR_POINTS:
            rows = tensor.split(1)
            renamed |= {POINT.format(point=i): row.clone() for i, row in enumerate(rows)}
        elif original := _translate(name, _BACKWARD):
            renamed[original] = tensor
    return renamed


def original_names(config: Sam2VideoConfig, *, memory: bool = True) -> list[str]:
    """List the names an original checkpoint of this architecture has.

    Args:
        config: The architecture.
        memory: Whether to include the weights that only videos need.
    """
    rows = list(IMAGE_ROWS)
    if memory:
        rows += MEMORY_ROWS
    if memory and config.enable_occlusion_spatial_embedding:
        rows.append(NO_OBJECT_ROW)
    if memory and config.enable_temporal_pos_encoding_for_object_pointers:
        rows.append(POINTER_TIME_ROW)
    ranges = _ranges(config)
    names = [FREQUENCIES, *_expand(POINT, ranges)]
    return [*names, *(name for row in rows for name in _expand(row.original, ranges))]


def check_names(
    names: Collection[str], config: Sam2VideoConfig, *, source: str, memory: bool = True
) -> None:
    """Check that an original checkpoint has exactly the weights of a config.

    Args:
        names: The names in the checkpoint.
        config: Its architecture.
        source: Name of the checkpoint in messages, usually its path.
        memory: Whether the weights that only videos need must be there. If not, they may.

    Raises:
        CheckpointError: If names are missing or foreign; the message says how many and which.
    """
    missing = [name for name in original_names(config, memory=memory) if name not in names]
    welcome = {*original_names(config)}
    if not memory:
        welcome |= {name for name in names if _belongs_to_memory(name)}
    foreign = [name for name in names if name not in welcome]
    if missing or foreign:
        raise CheckpointError(
            f"{source} is not a complete SAM 2 checkpoint of this size: "
            f"{_some('missing', missing)}; {_some('unexpected', foreign)}. "
            "Download it again, or pass the config it was trained with."
        )


def _belongs_to_memory(name: str) -> bool:
    """Tell whether only videos need the weight of this original name."""
    rows = (*MEMORY_ROWS, NO_OBJECT_ROW, POINTER_TIME_ROW)
    return any(_compile(row.original, "").finds.fullmatch(name) for row in rows)


def _require_known(names: Iterable[str], is_known: Callable[[str], bool], where: str) -> None:
    """Refuse names that are not SAM 2 weights."""
    foreign = [name for name in names if not is_known(name)]
    if foreign:
        raise CheckpointError(
            f"these are not SAM 2 weights in the naming of {where}: "
            f"{_some('unexpected', foreign)}. Check that the file is a SAM 2 checkpoint of that "
            "format."
        )


def _some(kind: str, names: list[str]) -> str:
    """Format the number of names of a kind and the first few."""
    if not names:
        return f"{kind} none"
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{kind} {len(names)}: {', '.join(names[:NAMES_SHOWN])}{more}"


def _ranges(config: Sam2VideoConfig) -> dict[str, Iterable[int]]:
    """List the indices that each placeholder of the table runs over."""
    fields = config.to_dict()
    vision, decoder = fields["vision_config"], fields["mask_decoder_config"]
    dims = vision["backbone_config"]["embed_dim_per_stage"]
    blocks_per_stage = vision["backbone_config"]["blocks_per_stage"]
    first_blocks = list(accumulate(blocks_per_stage, initial=0))
    stages = range(1, len(dims))
    return {
        "block": range(first_blocks[-1]),
        "widening": [first_blocks[i] for i in stages if dims[i] != dims[i - 1]],
        "level": range(len(vision["backbone_channel_list"])),
        "point": range(fields["prompt_encoder_config"]["num_point_embeddings"]),
        "layer": range(decoder["num_hidden_layers"]),
        "mask": range(decoder["num_multimask_outputs"] + 1),
        "memory_layer": range(config.memory_attention_num_layers),
        "fuser_layer": range(config.memory_fuser_num_layers),
    }


def _expand(pattern: str, ranges: Mapping[str, Iterable[int]]) -> Iterator[str]:
    """Expand a pattern of the table to all its names."""
    placeholder = re.search(r"{(\w+)}", pattern)
    numbers = ranges[placeholder[1]] if placeholder else [0]
    for number in numbers:
        name = re.sub(r"{\w+}", str(number), pattern)
        if name.endswith(".*"):
            yield from (name[:-1] + leaf for leaf in ("weight", "bias"))
        else:
            yield name
