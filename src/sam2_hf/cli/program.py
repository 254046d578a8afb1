"""Entry point of the command line; errors become one line and an exit code."""

import importlib
from collections.abc import Sequence

from sam2_hf.errors import Sam2Error
from sam2_hf.interruption import FAILED, INTERRUPTED

from .arguments import build_parser
from .console import note, one_line

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # torch's messages on a GPU, on the CPU

MODULES = {
    "segment": "sam2_hf.cli.segment",
    "everything": "sam2_hf.cli.everything",
    "track": "sam2_hf.cli.track",
    "convert": "sam2_hf.cli.convert",
    "export": "sam2_hf.cli.export",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        Exit code: 0 done, 2 something went wrong (one line on stderr says what), 130 interrupted.
    """
    try:
        arguments = build_parser().parse_args(argv)
        # Imported late, so that `--help` and a misspelled option need not wait for torch.
        command = importlib.import_module(MODULES[arguments.command])
        return int(command.run(arguments))
    except SystemExit as leaving:  # from argparse: help, version, wrong usage
        return leaving.code if isinstance(leaving.code, int) else FAILED
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except (Sam2Error, OSError, ValueError, MemoryError) as error:
        note(f"error: {one_line(error)}")
    except RuntimeError as error:
        if not any(phrase in str(error) for phrase in OUT_OF_MEMORY):
            raise
        note("error: out of memory. Try a smaller --model, --dtype bfloat16 or --device cpu.")
    return FAILED
