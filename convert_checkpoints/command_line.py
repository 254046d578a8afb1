"""Common parts of the commands: output and errors."""

import sys
from collections.abc import Callable, Sequence

from sam2_hf import Sam2Error
from sam2_hf.interruption import FAILED as FAILED

EQUAL, DIFFERENT = 0, 1  # exit codes beside FAILED


def say(line: str) -> None:
    """Write one line of the result."""
    sys.stdout.write(line + "\n")


def run(command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command; our errors and system errors become one line and exit code 2.

    Args:
        command: Takes the arguments, returns an exit code.
        arguments: Arguments; those of the process if None.

    Returns:
        The exit code.
    """
    try:
        return command(sys.argv[1:] if arguments is None else arguments)
    except (Sam2Error, OSError, ValueError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return FAILED
