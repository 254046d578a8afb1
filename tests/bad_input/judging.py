"""How an answer to bad input is judged: an error of ours, the right answer, or a fault.

Errors of ours are `Sam2Error` and `CheckpointError`, which `model/` raises and which is none of the
former. All else that is raised is foreign, also a `TypeError` that says the right thing. What is
accepted has to be right: an input comes with a check of its answer, or it must not be accepted.
"""

import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from sam2_hf import CheckpointError, Sam2Error

OURS = (Sam2Error, CheckpointError)
SECONDS = 20  # for one input, on a machine that is busy with other things


class Input(NamedTuple):
    """One input.

    Attributes:
        what: Name of it in a report.
        call: Gives it to the program.
        is_right: Whether what comes back is right; None where nothing may come back.
    """

    what: str
    call: Callable[[], object]
    is_right: Callable[[object], bool] | None = None


def each(what, values, call, leave=()):
    """An input that must be refused for each of several values.

    Args:
        what: Where the values are given.
        values: Name -> value, or values that name themselves.
        call: Gives a value to the program.
        leave: Names of values that mean something here.
    """
    named = values if isinstance(values, dict) else {f"{value!r:.40}": value for value in values}
    for name, value in named.items():
        if name not in leave:
            yield Input(f"{what} {name}", partial(call, value))


class HangError(BaseException):
    """An input took too long. No `Exception`, so that nothing on the way takes it for its own."""


@contextmanager
def time_limit(seconds):
    """Cut the work short, also where it waits for a pipe."""

    def ring(_number, _frame):
        raise HangError

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judge(one):
    """Try an input; return the kind of fault and what happened, or None."""
    try:
        with time_limit(SECONDS):
            answer = one.call()
            if one.is_right is None:
                return "silent", f"{one.what}: accepted, {answer!r:.80}"
            return None if one.is_right(answer) else ("silent", f"{one.what}: {answer!r:.80}")
    except OURS as error:
        text = str(error)
        return None if text.strip() else ("foreign", f"{one.what}: no message")
    except HangError:
        return "hang", one.what
    except Exception as error:
        return "foreign", f"{one.what}: {type(error).__name__}: {str(error)[:120]}"


def faults_of(inputs):
    """Judge inputs: their number, and a line for each fault."""
    count, lines = 0, []
    for one in inputs:
        count += 1
        found = judge(one)
        if found:
            lines.append("{}: {}".format(*found))
    return count, lines


def equals(call):
    """A check that an answer is the one to another call, bit by bit."""
    return lambda answer: same(answer, call())


def same(one, other):
    """Compare nested arrays, tensors, lists and dictionaries."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and bool(one.isfinite().all())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return type(one) is type(other) and one == other
