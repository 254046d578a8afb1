"""Common steps of evaluations: join processes, check settings, distribute work, combine results."""

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import yaml
from accelerate import PartialState

from .loaded_model import LoadedModel
from .run_settings import RunSettings

PATIENCE = timedelta(days=30)


def join_processes() -> PartialState:
    """Join the processes of a launcher; finished processes wait for the others."""
    return PartialState(timeout=PATIENCE)


def add_set_options(parser: argparse.ArgumentParser, names: Sequence[str], written: str) -> None:
    """Add the options for the videos and the output folder.

    Args:
        parser: The program's parser.
        names: Names of sets.
        written: Contents of `--out`.
    """
    parser.add_argument(
        "--dataset", required=True, choices=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--root", required=True, help="unpacked folder of the set, or a table")
    parser.add_argument("--out", type=Path, required=True, help=f"output folder of {written}")
    parser.add_argument("--videos", nargs="*", default=[], metavar="ID", help="only these")
    parser.add_argument(
        "--option",
        dest="set_options",
        action="append",
        default=[],
        type=named_value,
        metavar="NAME=VALUE",
        help="an option of a set that training reads, such as split=val",
    )


def named_value(text: str) -> tuple[str, object]:
    """Read an option as in a training config; the value is YAML."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not YAML") from error


def share_out(
    loaded: LoadedModel,
    settings: RunSettings,
    out: Path,
    do_share: Callable[[PartialState], None],
    conclude: Callable[[], None],
) -> None:
    """Run every process's share, then combine the results in the first one.

    Args:
        loaded: The model, with its precision.
        settings: Settings of the run.
        out: Folder of the results.
        do_share: Processes the share of a process.
        conclude: Combines all results.

    Raises:
        DataError: The folder has results of other settings.
        OutputError: The folder cannot be written.
    """
    state = join_processes()
    if state.is_main_process:
        settings.save(out)
    state.wait_for_everyone()
    with loaded.computing():
        do_share(state)
        state.wait_for_everyone()
        if state.is_main_process:
            conclude()
