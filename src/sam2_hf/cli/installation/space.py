"""`sam2-hf space`: serve the web page, whose code is in a checkout and not in the package."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from sam2_hf.errors import MissingPackageError, PromptError

GRADIO = "gradio>=6.31,<7"  # as in pyproject.toml
PROGRAM_FILE = Path("sam2_space", "program.py")
CHECKOUTS = (
    Path(__file__).parents[4],
    Path(),
)  # of an installation with -e, and the current folder


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Raises:
        PromptError: There is no checkout.
        MissingPackageError: Gradio is not installed.
    """
    folder = find_space(CHECKOUTS)
    if importlib.util.find_spec("gradio") is None:
        raise MissingPackageError(
            "gradio",
            purpose="The web page",
            install=f"Install it with: pip install '{GRADIO}'.",
        )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    program = importlib.import_module("sam2_space.program")
    return int(program.main(arguments.rest, prog="sam2-hf space"))


def find_space(checkouts: Sequence[Path]) -> Path:
    """Find the folder of the web page.

    Args:
        checkouts: Where a checkout may be.

    Raises:
        PromptError: It is in none of them.
    """
    for checkout in checkouts:
        if (checkout / "spaces" / PROGRAM_FILE).is_file():
            return (checkout / "spaces").resolve()
    raise PromptError(
        "the web page is not part of the installed package; its code is the folder spaces/ of the "
        "source. Run this command in a checkout of it."
    )
