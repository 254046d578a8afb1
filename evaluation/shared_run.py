"""What all evaluations do alike: join processes, refuse foreign results, share out, conclude."""

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
    """Join the processes of a launcher; processes that are done wait for the others."""
    return PartialState(timeout=PATIENCE)


def add_set_options(parser: argparse.ArgumentParser, names: Sequence[str], written: str) -> None:
    """Add the options that say which videos are evaluated, and where results go.

    Args:
        parser: The program's.
        names: Sets that it takes.
        written: What goes to `--out`.
    """
    parser.add_argument(
        "--dataset", required=True, choices=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--root", required=True, help="where the set was unpacked; or a table")
    parser.add_argument("--out", type=Path, required=True, help=f"{written} go here")
    parser.add_argument("--videos", nargs="*", default=[], metavar="ID", help="only these")
    parser.add_argument(
        "--option",
        dest="set_options",
        action="append",
        default=[],
        type=_set_option,
        metavar="NAME=VALUE",
        help="an option of a set that training reads, such as split=val",
    )


def _set_option(text: str) -> tuple[str, object]:
    """Read an option as a training config has it; the value is YAML."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is no YAML") from error


def share_out(
    loaded: LoadedModel,
    settings: RunSettings,
    out: Path,
    do_share: Callable[[PartialState], None],
    conclude: Callable[[], None],
) -> None:
    """Let every process do its share, and the first one put the results together.

    Args:
        loaded: The model, which says in what precision is computed.
        settings: What the run is about.
        out: Folder of the results.
        do_share: Does the share of the process that it is told.
        conclude: Puts the results of all together.

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
