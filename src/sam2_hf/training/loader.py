"""Batches prepared ahead by worker processes, and how long the training waits for them."""

import signal
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from sam2_hf.errors import Sam2Error

from .clip_stream import ClipRequest, ClipStream
from .clips import ClipBatch


def plan_requests(
    steps: range, *, rank: int = 0, processes: int = 1, accumulation: int = 1
) -> list[ClipRequest]:
    """List what one process asks for.

    Args:
        steps: Steps of the run; a resumed one begins later.
        rank: Of the process, from 0.
        processes: How many there are.
        accumulation: Batches that each of them takes in a step.
    """
    parts = processes * accumulation
    return [
        ClipRequest(step, rank * accumulation + place, parts)
        for step in steps
        for place in range(accumulation)
    ]


class ClipLoader:
    """Iterates over the batches of a list of requests, once or more.

    Attributes:
        wait_s: Seconds that the consumer has waited for batches.

    Args:
        stream: Where clips come from.
        requests: In the order of the batches.
        num_workers: Processes that prepare batches; 0 prepares them when they are asked for.
        prefetch: Batches that each worker prepares ahead.
    """

    def __init__(
        self,
        stream: ClipStream,
        requests: Sequence[ClipRequest],
        *,
        num_workers: int = 0,
        prefetch: int = 2,
    ) -> None:
        self._requests = requests
        self._loader: DataLoader[ClipBatch | Sam2Error] = DataLoader(
            _Answers(stream),
            batch_size=None,
            sampler=requests,
            num_workers=num_workers,
            collate_fn=_unchanged,
            prefetch_factor=prefetch if num_workers else None,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
            # Without one of its own the loader would draw from torch's global generator.
            generator=torch.Generator(),
        )
        self.wait_s = 0.0

    def __iter__(self) -> Iterator[ClipBatch]:
        answers = iter(self._loader)
        for _ in self._requests:
            asked = time.perf_counter()
            answer = next(answers)
            self.wait_s += time.perf_counter() - asked
            if isinstance(answer, Sam2Error):
                raise answer
            yield answer

    def reset_times(self) -> None:
        """Begin to measure anew."""
        self.wait_s = 0.0


class _Answers(Dataset[ClipBatch | Sam2Error]):
    """Hands our errors over as values, since a worker buries what it raises in a trace."""

    def __init__(self, stream: ClipStream) -> None:
        self._stream = stream

    def __getitem__(self, request: ClipRequest) -> ClipBatch | Sam2Error:
        try:
            return self._stream[request]
        except Sam2Error as error:
            return error


def _unchanged(answer: Any) -> Any:  # noqa: ANN401 - the loader calls it with what it prepared
    return answer


def _start_worker(worker: int) -> None:
    """Keep a worker to one core; all that it draws follows from the requests.

    Ctrl-C and a system that shuts down reach all processes at once, but the parent still needs its
    workers to finish the step and save. torch gives each worker a handler of its own for that
    signal, which ends it; this comes after it.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_it_to_the_parent)


def _leave_it_to_the_parent(number: int, frame: FrameType | None) -> None:
    """Obey only who insists, as a parent does that waits in vain for its worker to end."""
    signal.signal(number, signal.SIG_DFL)
