"""`sam2-hf convert`: convert an original checkpoint to a folder in the Hub's format, or back."""

import argparse
from pathlib import Path

from sam2_hf.interruption import DONE
from sam2_hf.model.checkpoints.checkpoint_folder import convert_to_folder, revert_to_original

from .console import say

ORIGINAL_SUFFIXES = (".pt", ".pth")


def run(arguments: argparse.Namespace) -> int:
    """Convert `source` to `target`; a target that ends in .pt means back to the original format.

    Raises:
        CheckpointError: The checkpoint cannot be used, or the result cannot be written.
    """
    target = Path(arguments.target)
    convert = revert_to_original if target.suffix in ORIGINAL_SUFFIXES else convert_to_folder
    written = convert(arguments.source, target)
    arguments.report.add(str(arguments.source), [Path(written)])
    say(f"{arguments.source} -> {written}")
    return DONE
