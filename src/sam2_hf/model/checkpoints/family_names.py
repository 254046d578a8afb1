"""Weight names of the original checkpoints of EdgeTAM and EfficientTAM, and ours.

Both share most names with SAM 2, whose table is in `checkpoint_names.py`. Here are those that
differ: of the image encoders, of EdgeTAM's perceiver and of its MLPs.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig

from sam2_hf.model.configs.configuration_sam2_video import (
    EdgeTamVideoConfig,
    EfficientTamVideoConfig,
    Sam2VideoConfig,
)

from .checkpoint_errors import CheckpointError
from .checkpoint_names import (
    NO_OBJECT_ROW,
    POINTER_TIME_ROW,
    is_original_name,
    is_our_name,
    to_original,
    to_ours,
)
from .fitting_weights import WRAPPERS, names_in_model

Pair = tuple[str, str]


class FamilyNames(NamedTuple):
    """How one family's names differ from SAM 2's.

    Attributes:
        mark: A name that only its original checkpoints have.
        our_mark: The same by our names.
        pairs: Beginnings of original names, with what they become; `{}` is a number.
    """

    mark: str
    our_mark: str
    pairs: tuple[Pair, ...]


def _perceiver(original: str, ours: str) -> Pair:
    """Pair the beginnings of names in a layer of the perceiver."""
    start = r"spatial_perceiver.layers.{}."
    return start + original, start + ours


EDGETAM = FamilyNames(
    "spatial_perceiver.latents",
    "spatial_perceiver.latents_1d",
    (
        ("image_encoder.trunk.body.", "vision_encoder.backbone.timm_model."),
        ("memory_attention.layers.{}.linear1.", "memory_attention.layers.{}.mlp.up_proj."),
        ("memory_attention.layers.{}.linear2.", "memory_attention.layers.{}.mlp.down_proj."),
        ("spatial_perceiver.latents_2d", "spatial_perceiver.latents_2d"),
        ("spatial_perceiver.latents", "spatial_perceiver.latents_1d"),
        ("spatial_perceiver.norm.", "spatial_perceiver.layer_norm."),
        _perceiver("attn.norm_latents.", "layer_norm_latents."),
        _perceiver("attn.norm_x.", "layer_norm_input."),
        _perceiver("attn.to_q.", "cross_attention.q_proj."),
        _perceiver("attn.to_kv.", "cross_attention.kv_proj."),
        _perceiver("attn.to_out.", "cross_attention.o_proj."),
        _perceiver("self_attn.norm.", "layer_norm_self."),
        _perceiver("self_attn.to_q.", "self_attention.q_proj."),
        _perceiver("self_attn.to_kv.", "self_attention.kv_proj."),
        _perceiver("self_attn.to_out.", "self_attention.o_proj."),
        _perceiver("ff.0.", "mlp.layer_norm."),
        _perceiver("ff.1.", "mlp.up_proj."),
        _perceiver("ff.3.", "mlp.down_proj."),
        _perceiver("self_ff.0.", "self_mlp.layer_norm."),
        _perceiver("self_ff.1.", "self_mlp.up_proj."),
        _perceiver("self_ff.3.", "self_mlp.down_proj."),
    ),
)
EFFICIENTTAM = FamilyNames(
    "image_encoder.neck.convs.0.conv_1x1.weight",
    "vision_encoder.neck.convs.0.conv_1x1.weight",
    (("image_encoder.neck.convs.0.", "vision_encoder.neck.convs.0."),),
)
FAMILIES = (EDGETAM, EFFICIENTTAM)
MERGED, SPLIT = ".kv_proj.", (".k_proj.", ".v_proj.")  # keys and values of the perceiver


def family_of(names: Iterable[str]) -> FamilyNames | None:
    """Find the family of a checkpoint; None if it is a SAM 2.

    Args:
        names: Its names, the original ones or ours, with prefixes of wrappers or without.
    """
    bare = [
        "." + ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in names
    ]
    for family in FAMILIES:
        if any(name.endswith(("." + family.mark, "." + family.our_mark)) for name in bare):
            return family
    return None


def family_weights(
    family: FamilyNames, weights: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Rename the weights of a file of a family, in either naming, to ours.

    Args:
        family: The family.
        weights: Tensors by the names in the file, which may have prefixes of wrappers.
        source: Name of the file in messages.

    Raises:
        CheckpointError: If a name is that of no weight, or two name the same one.
    """
    inverse = [(new, old) for old, new in family.pairs]

    def is_known(name: str) -> bool:
        if is_original_name(name) or is_our_name(name):
            return True
        return any(_translate(name, pairs) is not None for pairs in (family.pairs, inverse))

    names = names_in_model(weights, is_known, source=source)
    bare = {names[name]: tensor for name, tensor in weights.items() if name != "n_averaged"}
    is_ours = family.our_mark in bare and family.mark not in bare
    return bare if is_ours else family_to_ours(family, bare)


def family_to_ours(family: FamilyNames, original: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of an original checkpoint of a family.

    Args:
        family: The family.
        original: Tensors by their original names.

    Raises:
        CheckpointError: If a name is that of no weight.
    """
    renamed: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    for name, tensor in original.items():
        found = _translate(name, family.pairs)
        if found is None:
            rest[name] = tensor
        elif MERGED in found:
            if not tensor.dim() or len(tensor) % len(SPLIT):
                raise CheckpointError(
                    f"{name} has shape {tuple(tensor.shape)}, but holds keys and values, which are "
                    "equally many. Download the checkpoint again."
                )
            for split, half in zip(SPLIT, tensor.chunk(2), strict=True):
                renamed[found.replace(MERGED, split)] = half.clone()
        else:
            renamed[found] = tensor
    _require_known(rest, is_original_name, "the file is an original checkpoint")
    return renamed | to_ours(rest)


def family_to_original(family: FamilyNames, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights of a family their original names; the exact inverse of `family_to_ours`.

    Args:
        family: The family.
        ours: Tensors by our names.

    Raises:
        CheckpointError: If a name is that of no weight.
    """
    renamed: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    inverse = [(new, old) for old, new in family.pairs]
    for name, tensor in _merged(ours).items():
        found = _translate(name, inverse)
        if found is None:
            rest[name] = tensor
        else:
            renamed[found] = tensor
    _require_known(rest, is_our_name, "the folder is complete")
    return renamed | to_original(rest)


def family_config(
    family: FamilyNames, weights: Mapping[str, Tensor], path: PurePath
) -> Sam2VideoConfig:
    """Read the architecture of a released model from its weights and the name of its file.

    Input size and pooling of an EfficientTAM do not show in weights: the names of the published
    files tell them, as `efficienttam_ti_512x512`, or `efficienttam_s_1` for pooling in the scores.

    Args:
        family: The family.
        weights: Tensors by our names.
        path: The file.

    Raises:
        CheckpointError: It is an EfficientTAM, and the name is not that of a published file with
            weights of this width.
    """
    if family is EDGETAM:
        projection = POINTER_TIME_ROW.ours.replace("*", "weight")
        return EdgeTamVideoConfig(  # the published one has neither
            enable_occlusion_spatial_embedding=NO_OBJECT_ROW.ours in weights,
            enable_temporal_pos_encoding_for_object_pointers=projection in weights,
        )
    if path.stem not in PUBLISHED:
        raise CheckpointError(
            f"{path} is an EfficientTAM. Its input size and pooling do not show in its weights, "
            f"and its name is not one of the published files' ({', '.join(PUBLISHED)}): put its "
            "config.json beside the file, or in Python pass config=EfficientTamVideoConfig(...)."
        )
    config = _published_config(path.stem)
    wanted = config.vision_config.backbone_config.hidden_size
    found = weights.get(PATCHES)
    if found is None or len(found) != wanted:
        what = "is missing" if found is None else f"has {len(found)} channels"
        raise CheckpointError(
            f"{path} is an EfficientTAM of {wanted} channels, but {PATCHES} {what}. Download the "
            "file again, or put the config.json it was trained with beside it."
        )
    return config


def published_stem(config: Sam2VideoConfig) -> str | None:
    """Find the name of the published file of an EfficientTAM; None if it is not published.

    Args:
        config: Its config.
    """
    described = _architecture(config.to_dict())
    for name in PUBLISHED:
        if _architecture(_published_config(name).to_dict()) == described:
            return name
    return None


def _architecture(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the fields that describe the model, with one side of the square input."""
    general = PreTrainedConfig().to_dict().keys()
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            kept[name] = _architecture(value)
        elif name == "image_size" and isinstance(value, list | tuple):
            kept[name] = value[0]
        elif name not in general:
            kept[name] = value
    return kept


def _published_config(stem: str) -> EfficientTamVideoConfig:
    """Return the config of a published EfficientTAM by the name of its file."""
    _, size, *variant = stem.split("_")
    width = WIDTHS[size]
    side = 512 if variant == ["512x512"] else 1024
    vision = {
        "backbone_config": {
            "model_type": "efficienttam_vit_model",
            "hidden_size": width,
            "num_attention_heads": width // HEAD_WIDTH,
            "image_size": side,
        },
        "backbone_channel_list": [width],
        "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
    }
    return EfficientTamVideoConfig(
        vision_config=vision,
        prompt_encoder_config={"image_size": side},
        image_size=side,
        memory_attention_rope_feat_sizes=[side // 16] * 2,
        memory_attention_pooling=POOLINGS.get("".join(variant), "none"),
    )


WIDTHS = {"ti": 192, "s": 384}  # channels of the published EfficientTAMs
POOLINGS = {"1": "scores", "2": "keys"}
PUBLISHED = tuple(
    f"efficienttam_{size}{variant}" for size in WIDTHS for variant in ("", "_1", "_2", "_512x512")
)
PATCHES = "vision_encoder.backbone.patch_embed.projection.weight"
HEAD_WIDTH = 64  # channels of a head in the released EfficientTAMs


def _require_known(names: Iterable[str], is_known: Callable[[str], bool], what: str) -> None:
    """Refuse names that neither the family nor SAM 2 has."""
    foreign = [name for name in names if not is_known(name)]
    if foreign:
        raise CheckpointError(
            f"{foreign[0]} is not a weight of this kind of model, nor are {len(foreign) - 1} more. "
            f"Check that {what}."
        )


def _merged(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join keys and values of the perceiver."""
    merged: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        if not name.startswith("spatial_perceiver."):
            merged[name] = tensor
        elif SPLIT[0] in name or SPLIT[1] in name:
            pair = [re.sub(r"\.[kv]_proj\.", split, name) for split in SPLIT]
            if missing := [split for split in pair if split not in ours]:
                raise CheckpointError(
                    f"{missing[0]} is missing. Check that the folder is complete."
                )
            merged[pair[0].replace(SPLIT[0], MERGED)] = torch.cat([ours[split] for split in pair])
        else:
            merged[name] = tensor
    return merged


def _translate(name: str, pairs: Iterable[Pair]) -> str | None:
    """Replace the beginning of a name; None if no pair fits."""
    for old, new in pairs:
        pattern = re.escape(old).replace(r"\{\}", r"(\d+)")
        if found := re.match(pattern, name):
            start = new.format(*found.groups())
            return start + name[found.end() :]
    return None
