"""A run through a set by Ray Data: a pool of actors holds the model, on this machine or a cluster.

Ray Data hands out items as actors become free, restarts an actor that died and gives its item to
another. What Ray cannot know, claims do: an item that kills its worker again and again fails after
some attempts, one that makes no progress ends its worker, and a killed driver leaves no doubt about
what is done.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sam2_hf.errors import MissingPackageError

from .claims import Beat
from .set_folder import SetFolder
from .set_run import FindItems, OnOutcome, work_through
from .work_items import WorkItem
from .worker import ItemOutcome, Worker

MOST_BLOCKS = 10_000  # of a pass; larger queues put several items into one
LOCAL_STORE = 256 * 2**20  # bytes of shared memory; items and outcomes are small
QUIET = {  # for the environment, unless it says otherwise
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """How many actors, and where.

    Attributes:
        count: Number of actors.
        device: Device of the model; None gives each actor a GPU if the cluster has some.
        lease: Seconds without progress after which an item is taken from its worker.
        threads: Threads of each on a CPU.
    """

    count: int
    device: str | None
    lease: float
    threads: int = 1


class RayActor:
    """What an actor holds: a worker, made when the first item comes.

    Args:
        root: Folder of the set.
        device: Device of the model.
        lease: See [`RayWorkers`].
    """

    def __init__(self, root: str, device: str | None, lease: float) -> None:
        self._worker: Worker | None = None
        self._problem = ""
        try:
            self._worker = Worker(SetFolder(root, lease), device, leaves=True)
        except Exception as error:  # Ray would try to start the actor for ever
            self._problem = " ".join(str(error).split()) or type(error).__name__

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do the items of a batch."""
        rows = zip(*(batch[name].tolist() for name in ITEM_FIELDS), strict=True)
        items = [WorkItem(*row) for row in rows]
        outcomes = [asdict(self._outcome(item)) for item in items]
        return {name: [outcome[name] for outcome in outcomes] for name in outcomes[0]}

    def _outcome(self, item: WorkItem) -> ItemOutcome:
        if self._worker is None:
            return ItemOutcome(item.key, "stopped", self._problem)
        return self._worker.do(item)


ITEM_FIELDS = tuple(field.name for field in fields(WorkItem))


def work_on_ray(
    folder: SetFolder,
    find_items: FindItems,
    workers: RayWorkers,
    *,
    check: Beat,
    on_outcome: OnOutcome,
) -> None:
    """Do all open items by actors.

    Args:
        folder: The set, at the same path on all machines.
        find_items: Lists the open items: `open_items` or `review_items`.
        workers: How many actors.
        check: Called after each item; raises to stop.
        on_outcome: Called with what became of each item.

    Raises:
        MissingPackageError: Ray is not installed.
        OutputError: No item can be done, as on a full disk or without the model.
        StopRequestedError: `check` raised it; finished videos stay.
    """
    if not find_items(folder):
        return
    ray = _import_ray()
    with _connected(ray, workers.count * workers.threads):
        pool = _pool(ray, folder.root, workers)

        def do_items(items: Sequence[WorkItem]) -> Iterator[ItemOutcome]:
            free = [item for item in items if not folder.claims.is_taken(item.key)]
            if not free:  # of other commands: no pool of actors, which load the model, for nothing
                check()
                yield from (ItemOutcome(item.key, "taken") for item in items)
                return
            rows = [asdict(item) for item in free]
            blocks = min(len(rows), MOST_BLOCKS)
            table = ray.data.from_items(rows, override_num_blocks=blocks)
            for row in table.map_batches(RayActor, **pool).iter_rows():
                check()
                yield ItemOutcome(**row)

        work_through(folder, find_items, do_items, on_outcome)


def _pool(ray: Any, root: Path, workers: RayWorkers) -> dict[str, Any]:  # noqa: ANN401 - a module
    """Describe the pool of actors: each has a GPU if there are some, else a core."""
    has_gpus = workers.device is None and ray.cluster_resources().get("GPU", 0) >= 1
    resources: dict[str, float] = {"num_gpus": 1} if has_gpus else {"num_cpus": workers.threads}
    device = workers.device if workers.device is not None else "cuda" if has_gpus else "cpu"
    return {
        "fn_constructor_args": (str(root.absolute()), device, workers.lease),
        "batch_size": 1,
        # A second item would wait behind a long one while other actors are free.
        "compute": ray.data.ActorPoolStrategy(size=workers.count, max_tasks_in_flight_per_actor=1),
        **resources,
    }


@contextlib.contextmanager
def _connected(ray: Any, cores: int) -> Iterator[None]:  # noqa: ANN401 - a module
    """Connect to the cluster of RAY_ADDRESS, or start Ray on this machine."""
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not ray.is_initialized() and "RAY_ADDRESS" not in os.environ:
        quiet |= {
            "num_cpus": max(cores, os.cpu_count() or 1),
            "include_dashboard": False,
            "object_store_memory": LOCAL_STORE,
        }
    was_connected = ray.is_initialized()
    if not was_connected:
        ray.init(**quiet)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        if not was_connected:
            ray.shutdown()


def _import_ray() -> Any:  # noqa: ANN401 - a module
    try:
        import ray  # optional
        import ray.data
    except ImportError as error:
        raise MissingPackageError(
            "ray",
            purpose="Labeling with several workers",
            install="pip install 'sam2-hf[engine]' installs it; --workers 1 needs none.",
        ) from error
    return ray
