"""Entry point of the command line; errors become one line and an exit code."""

import argparse
import contextlib
import importlib
from collections.abc import Sequence

from sam2_hf.cli.installation.completion import answer_shell
from sam2_hf.interruption import FAILED, INTERRUPTED

from .arguments import read_arguments
from .console import note, showing, write_line
from .report import CommandReport, failure_text

# Imported when they run, so that help, completion and a misspelled option need not wait for torch.
MODULES = {
    "segment": "sam2_hf.cli.segment",
    "everything": "sam2_hf.cli.everything",
    "track": "sam2_hf.cli.track",
    "compare": "sam2_hf.cli.tracking.compare_runs",
    "label": "sam2_hf.cli.labeling.label",
    "convert": "sam2_hf.cli.convert",
    "export": "sam2_hf.cli.export",
    "doctor": "sam2_hf.cli.installation.doctor",
    "space": "sam2_hf.cli.installation.space",
    "completion": "sam2_hf.cli.installation.completion",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        Exit code: 0 done, 2 something went wrong (a line on stderr says what), 130 interrupted.
    """
    answer_shell()
    try:
        arguments = read_arguments(argv)
    except SystemExit as leaving:  # from argparse: help, version, wrong usage
        return leaving.code if isinstance(leaving.code, int) else FAILED
    arguments.report = report = CommandReport(arguments.command)
    as_json, quiet = getattr(arguments, "json", False), getattr(arguments, "quiet", False)
    with showing(results=not (as_json or quiet), notes=not quiet):
        code = _run(arguments, report)
        report.summarize()
    if getattr(arguments, "json", False):  # a command of several processes may switch it off
        write_line(report.as_json(code))
    return code


def _run(arguments: argparse.Namespace, report: CommandReport) -> int:
    """Check, then import and run the command."""
    try:
        with contextlib.ExitStack() as open_files:
            checks = importlib.import_module("sam2_hf.cli.inputs.early_checks")
            if not checks.prepare(arguments, open_files):
                return report.code
            command = importlib.import_module(MODULES[arguments.command])
            return int(command.run(arguments))
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except Exception as error:
        text = failure_text(error)
        if not text:  # a bug of ours; its traceback helps
            raise
        report.fail(text)
    return FAILED
