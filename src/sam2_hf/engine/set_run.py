"""A run through a set: pass after pass over its open items, until every video is done or failed.

One process does them itself. Several processes of `accelerate launch`, or separate commands on
machines that share the folder, do the same at once: claims keep them apart.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sam2_hf.errors import MissingPackageError, OutputError
from sam2_hf.pipelines.loading import default_device

from .claims import Beat, no_beat
from .set_folder import SetFolder
from .work_items import WorkItem
from .worker import ItemOutcome, Worker

POLL_S = 0.5  # between two looks at what other workers do
Pass = Callable[[Sequence[WorkItem]], Iterable[ItemOutcome]]
FindItems = Callable[[SetFolder], list[WorkItem]]
OnOutcome = Callable[[ItemOutcome], object]


def _nothing(*_: object) -> None:
    return None


def work_through(
    folder: SetFolder, find_items: FindItems, do_items: Pass, on_outcome: OnOutcome = _nothing
) -> None:
    """Do passes until no item is open.

    Args:
        folder: The set.
        find_items: Lists the open items.
        do_items: Does some items, and yields what became of each.
        on_outcome: Called with each.

    Raises:
        OutputError: No item can be done, as on a full disk.
    """
    while items := find_items(folder):
        is_waiting = True
        for outcome in do_items(items):
            if outcome.status == "stopped":
                raise OutputError(outcome.text)
            is_waiting &= outcome.status == "taken"
            on_outcome(outcome)
        if is_waiting:
            time.sleep(POLL_S)
    # A worker that was killed after its labels were written, and before its claim was released.
    folder.claims.clear_ended()


def work_here(
    folder: SetFolder,
    find_items: FindItems,
    device: str | None = None,
    *,
    check: Beat = no_beat,
    on_outcome: OnOutcome = _nothing,
) -> None:
    """Do all open items in this process; the model is loaded if there is one.

    Args:
        folder: The set.
        find_items: Lists the open items: `open_items` or `review_items`.
        device: Device of the model.
        check: Called after each frame; raises to stop.
        on_outcome: Called with what became of each item.

    Raises:
        StopRequestedError: `check` raised it; finished videos stay.
        CheckpointError: The model cannot be loaded.
        OutputError: No item can be done, as on a full disk.
    """
    if not find_items(folder):
        return
    worker = Worker(folder, device, check=check, leaves=launched_processes() > 1)

    def do_items(items: Sequence[WorkItem]) -> Iterator[ItemOutcome]:
        for item in items:
            check()
            yield worker.do(item)

    work_through(folder, find_items, do_items, on_outcome)


def launched_processes() -> int:
    """Count the processes that a launcher started, this one included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(frozen=True, slots=True)
class LaunchedProcesses:
    """The processes that `accelerate launch` started.

    Attributes:
        state: accelerate's state of this process; None without a launcher.
    """

    state: Any = None

    @classmethod
    def joined(cls) -> "LaunchedProcesses":
        """Join them, if there are several.

        Raises:
            MissingPackageError: There are several, and accelerate is not installed.
        """
        if launched_processes() < 2:
            return cls()
        try:
            from accelerate import PartialState  # optional
        except ImportError as error:
            raise MissingPackageError(
                "accelerate",
                purpose="Working with several launched processes",
                install="pip install accelerate installs it.",
            ) from error
        return cls(PartialState(cpu=default_device().type == "cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this process begins and reports."""
        return self.state is None or bool(self.state.is_main_process)

    @property
    def device(self) -> str | None:
        """Device of this process; None lets the loader choose."""
        if self.state is None:
            return None
        device = self.state.device
        # accelerate says cpu:0, which is another device for torch, with other ways to compute.
        return "cpu" if device.type == "cpu" else str(device)

    def wait(self) -> None:
        """Wait for the others to come here."""
        if self.state is not None:
            self.state.wait_for_everyone()
