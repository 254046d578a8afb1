"""What the command line tells: results on stdout, everything else on stderr."""

import sys


def say(text: str) -> None:
    """Write a line of results."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Write a line about what is going on."""
    sys.stderr.write(f"sam2-hf: {text}\n")
    sys.stderr.flush()


def one_line(error: BaseException) -> str:
    """Bring an error's message to one line; its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__
