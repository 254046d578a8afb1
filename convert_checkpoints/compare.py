"""Comparison of two checkpoints, tensor by tensor, in either format.

    python -m convert_checkpoints.compare sam2.1_hiera_tiny.pt ./sam2.1-tiny

Exit code 0: all tensors are bit-equal; 1: there are differences; 2: comparison failed.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sam2_hf.model.checkpoints.checkpoint_folder import read_folder
from sam2_hf.model.checkpoints.checkpoint_names import is_original_name, to_ours
from sam2_hf.model.checkpoints.checkpoint_search import find_local_original
from sam2_hf.model.checkpoints.original_checkpoint import read_original

from .command_line import DIFFERENT, EQUAL, run, say

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Report:
    """Report of a comparison.

    Attributes:
        equal: Names of bit-equal tensors.
        only_in_first: Names missing in the second.
        only_in_second: Names missing in the first.
        different: Difference of every other name.
    """

    equal: list[str] = field(default_factory=list)
    only_in_first: list[str] = field(default_factory=list)
    only_in_second: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference."""
        return not (self.only_in_first or self.only_in_second or self.different)

    def lines(self) -> list[str]:
        """Format the report, one difference a line, with counts at the end."""
        return [
            *(f"only in the first   {name}" for name in self.only_in_first),
            *(f"only in the second  {name}" for name in self.only_in_second),
            *(f"different           {name}: {what}" for name, what in self.different.items()),
            f"{len(self.equal)} tensors equal, {len(self.different)} different, "
            f"{len(self.only_in_first)} only in the first, "
            f"{len(self.only_in_second)} only in the second",
        ]


def compare(first: Tensors, second: Tensors) -> Report:
    """Compare tensors of the same name.

    Args:
        first: Tensors by name.
        second: Tensors with the same naming.
    """
    report = Report(
        only_in_first=sorted(first.keys() - second.keys()),
        only_in_second=sorted(second.keys() - first.keys()),
    )
    for name in sorted(first.keys() & second.keys()):
        difference = describe_difference(first[name], second[name])
        if difference is None:
            report.equal.append(name)
        else:
            report.different[name] = difference
    return report


def describe_difference(first: Tensor, second: Tensor) -> str | None:
    """Describe how two tensors differ; None if they are bit-equal."""
    if first.shape != second.shape:
        return f"shape {tuple(first.shape)} and {tuple(second.shape)}"
    differences = []
    if first.dtype != second.dtype:
        differences.append(f"dtype {_name(first.dtype)} and {_name(second.dtype)}")
    elif torch.equal(_bits(first), _bits(second)):
        return None
    changed = (first.double() - second.double()).abs()
    if changed.isnan().any():
        differences.append(f"{int(changed.isnan().sum())} values are not a number")
    largest = changed.nan_to_num(nan=0.0).max().item() if changed.numel() else 0.0
    differences.append(f"largest difference {largest:.3g}")
    return ", ".join(differences)


def read_both(first: Path, second: Path) -> tuple[Tensors, Tensors]:
    """Read two checkpoints; with two formats, the original one is renamed to ours.

    Raises:
        CheckpointError: If one of them cannot be read.
    """
    one, one_is_original = _read(first)
    other, other_is_original = _read(second)
    if one_is_original and not other_is_original:
        return _our_names(one), other
    if other_is_original and not one_is_original:
        return one, _our_names(other)
    return one, other


def _read(path: Path) -> tuple[Tensors, bool]:
    """Read a checkpoint, and whether it is an original one."""
    original = find_local_original(path)
    if original is not None:
        return read_original(original), True
    return read_folder(path), False


def _our_names(original: Tensors) -> Tensors:
    """Rename SAM 2's tensors and keep unknown names, so that the report shows them."""
    known = {name: tensor for name, tensor in original.items() if is_original_name(name)}
    return to_ours(known) | {n: tensor for n, tensor in original.items() if n not in known}


def _bits(tensor: Tensor) -> Tensor:
    """Return a tensor's bytes."""
    return tensor.contiguous().flatten().view(torch.uint8)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a file."""
    parser = argparse.ArgumentParser(
        prog="python -m convert_checkpoints.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, help="a .pt, a .safetensors, or a folder with one")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Print the report."""
    options = build_parser().parse_args(arguments)
    report = compare(*read_both(options.first, options.second))
    for line in report.lines():
        say(line)
    return EQUAL if report.is_equal else DIFFERENT


if __name__ == "__main__":
    sys.exit(run(main))
