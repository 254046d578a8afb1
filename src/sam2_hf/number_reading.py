"""Numbers of callers, who may give anything: read without trust, or not at all.

None stands for "it is no such thing"; who asks then says so in an error of its own.
"""

import math
import operator
from collections.abc import Mapping, Set
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

NOT_ROWS = (str, bytes, bytearray, Mapping, Set)  # which numpy or `float` would read as numbers
# What reading anything as numbers may raise: 10**400 is no float, and lists can be very deep.
UNREADABLE = (TypeError, ValueError, OverflowError, RecursionError, RuntimeError)
LONGEST = 80  # letters of a value in a message


def shown(value: object) -> str:
    """Write a value for a message: short, and also where it has no text of its own."""
    try:
        text = repr(value)
    except Exception:  # numbers of 5000 digits and deep lists have none, others may raise anything
        return f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def read_numbers(given: object) -> NDArray[np.float64] | None:
    """Read real numbers, of any shape; also NaN and infinity, and texts such as "3"."""
    if isinstance(given, NOT_ROWS):
        return None
    try:
        values = _array(given)
        return None if values.dtype.kind in "cmMV" else values.astype(np.float64)
    except UNREADABLE:
        return None


def read_flags(given: object) -> list[bool] | None:
    """Read one flag or a list of them: True and False, or 1 and 0."""
    try:
        values = _array(given)
    except UNREADABLE:
        return None
    if values.ndim > 1 or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        return None
    return [bool(one) for one in values.reshape(-1)]


def read_whole(given: object) -> int | None:
    """Read a whole number; True and 1.0 are none."""
    is_flag = isinstance(given, bool) or "bool" in str(getattr(given, "dtype", ""))
    try:
        return None if is_flag else operator.index(given)  # type: ignore[arg-type]
    except UNREADABLE:
        return None


def is_finite_number(given: object) -> bool:
    """Whether it is a number that a float can hold, and neither True nor False."""
    try:
        is_number = isinstance(given, Real) and not isinstance(given, bool)
        return is_number and math.isfinite(given)  # type: ignore[arg-type]
    except OverflowError:
        return False


def read_row(given: Any) -> tuple[float, ...]:  # noqa: ANN401 - whatever a caller has
    """Read a row of numbers; what is none gives an empty one."""
    if isinstance(given, NOT_ROWS):
        return ()
    try:
        return tuple(float(value) for value in given)
    except UNREADABLE:
        return ()


def _array(given: Any) -> NDArray[Any]:  # noqa: ANN401 - whatever a caller has
    """Make an array; numpy knows no bfloat16."""
    if not isinstance(given, Tensor):
        return np.asarray(given)
    return (given.double() if given.is_floating_point() else given).numpy(force=True)
