"""Exit status of programs, with errors as one line."""

import sys
from collections.abc import Callable

from sam2_hf import CheckpointError, Sam2Error
from sam2_hf.interruption import DONE, FAILED, INTERRUPTED


def exit_status(work: Callable[[], None], stopped: str) -> int:
    """Run a program's work; write errors to stderr.

    Args:
        work: The work.
        stopped: Message after Ctrl-C: what was kept, and how to continue.

    Returns:
        0; 2 after an error of ours; 130 after Ctrl-C.
    """
    try:
        work()
    except (Sam2Error, CheckpointError) as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped; {stopped}\n")
        return INTERRUPTED
    return DONE
