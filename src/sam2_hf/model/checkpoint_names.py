"""Rename weights from the original names to ours and back, and say which are missing."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from .checkpoint_errors import CheckpointError
from .checkpoint_name_table import (
    FREQUENCIES,
    IMAGE_ROWS,
    MEMORY_ROWS,
    NO_OBJECT_ROW,
    OUR_FREQUENCIES,
    OUR_POINTS,
    POINT,
    POINTER_TIME_ROW,
    ROWS,
)
from .configuration_sam2_video import Sam2VideoConfig

NAMES_SHOWN = 5  # of a long list in an error message


class _Pattern(NamedTuple):
    """One row, ready to recognise a name of one side and to write that of the other."""

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
    """Return the name of the other side, or None if no row knows it."""
    for pattern in patterns:
        if found := pattern.finds.fullmatch(name):
            return found.expand(pattern.writes)
    return None


def is_original_name(name: str) -> bool:
    """Tell whether a tensor of this name belongs to some original SAM 2 checkpoint."""
    if name == FREQUENCIES or _POINT.fullmatch(name):
        return True
    return _translate(name, _FORWARD) is not None


def is_our_name(name: str) -> bool:
    """Tell whether a tensor of this name belongs to some checkpoint in transformers' format."""
    special = name == OUR_POINTS or name in OUR_FREQUENCIES
    return special or _translate(name, _BACKWARD) is not None


def to_ours(original: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of an original checkpoint, whole or in part.

    Args:
        original: Tensors by their original names.

    Returns:
        The same tensors by our names. The point embeddings become the rows of one tensor, the
        frequency matrix comes twice; no two entries share memory.

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
    """Give weights their original names again; undoes `to_ours` bit by bit.

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
        memory: Whether to list the weights that only videos need as well.
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
    """Make sure that an original checkpoint has every weight and no other.

    Args:
        names: The names in the checkpoint.
        config: Its architecture.
        source: What to call the checkpoint in the message, usually its path.
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
            f"{_some('missing', missing)}; {_some('foreign', foreign)}. "
            "Download it again, or pass the config it was trained with."
        )


def _belongs_to_memory(name: str) -> bool:
    """Tell whether only videos need the weight of this original name."""
    rows = (*MEMORY_ROWS, NO_OBJECT_ROW, POINTER_TIME_ROW)
    return any(_compile(row.original, "").finds.fullmatch(name) for row in rows)


def _require_known(names: Iterable[str], is_known: Callable[[str], bool], where: str) -> None:
    """Refuse names that no SAM 2 has."""
    foreign = [name for name in names if not is_known(name)]
    if foreign:
        raise CheckpointError(
            f"these are not SAM 2 weights in the naming of {where}: {_some('foreign', foreign)}. "
            "Check that the file is a SAM 2 checkpoint of that format."
        )


def _some(kind: str, names: list[str]) -> str:
    """Say how many names there are of a kind, and the first few."""
    if not names:
        return f"{kind} none"
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{kind} {len(names)}: {', '.join(names[:NAMES_SHOWN])}{more}"


def _ranges(config: Sam2VideoConfig) -> dict[str, Iterable[int]]:
    """List the numbers that each placeholder of the table runs over."""
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
    """Write out every name that a pattern of the table stands for."""
    placeholder = re.search(r"{(\w+)}", pattern)
    numbers = ranges[placeholder[1]] if placeholder else [0]
    for number in numbers:
        name = re.sub(r"{\w+}", str(number), pattern)
        if name.endswith(".*"):
            yield from (name[:-1] + leaf for leaf in ("weight", "bias"))
        else:
            yield name
