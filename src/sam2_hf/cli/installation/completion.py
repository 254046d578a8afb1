"""`sam2-hf completion`: completion in bash, zsh and fish, by argcomplete."""

import argparse
import importlib
import importlib.util
import os
from types import ModuleType

from sam2_hf.cli.arguments import PROGRAM, build_parser
from sam2_hf.cli.console import say
from sam2_hf.errors import MissingPackageError
from sam2_hf.interruption import DONE

ASKED = "_ARGCOMPLETE"  # a variable that the shell sets when it asks what could come next


def run(arguments: argparse.Namespace) -> int:
    """Print the lines that switch completion on in a shell.

    Raises:
        MissingPackageError: argcomplete is not installed.
    """
    say(_argcomplete().shellcode([PROGRAM], shell=arguments.shell))
    return DONE


def answer_shell() -> None:
    """Answer the shell if it asks what could come next, and exit; otherwise do nothing."""
    if ASKED in os.environ and importlib.util.find_spec("argcomplete") is not None:
        _argcomplete().autocomplete(build_parser())


def _argcomplete() -> ModuleType:
    try:
        return importlib.import_module("argcomplete")
    except ImportError as error:
        raise MissingPackageError(
            "argcomplete", purpose="Completion", install="Install it with: pip install argcomplete."
        ) from error
