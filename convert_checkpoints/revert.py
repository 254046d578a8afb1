"""Conversion of a folder in transformers' format back to an original checkpoint, bit-equal.

python -m convert_checkpoints.revert ./sam2.1-tiny sam2.1_hiera_tiny.pt
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sam2_hf.model.checkpoints.checkpoint_folder import revert_to_original

from .command_line import EQUAL, run, say


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a file."""
    parser = argparse.ArgumentParser(
        prog="python -m convert_checkpoints.revert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="has model.safetensors and config.json")
    parser.add_argument("out", type=Path, help="the .pt to write; an existing one is replaced")
    return parser


def revert(arguments: Sequence[str]) -> int:
    """Convert back."""
    options = build_parser().parse_args(arguments)
    say(f"wrote {revert_to_original(options.folder, options.out)}")
    return EQUAL


if __name__ == "__main__":
    sys.exit(run(revert))
