"""Parsing of untrusted numbers from callers.

None means that the value has another form; the caller then raises its own error.
"""

import math
import operator
from collections.abc import Mapping, Set
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

NOT_ROWS = (str, bytes, bytearray, Mapping, Set)  # numpy or `float` would read these as numbers
# Raised for unreadable values: 10**400 is not a float, and lists can be very deep.
UNREADABLE = (TypeError, ValueError, OverflowError, RecursionError, RuntimeError)
LONGEST = 80  # characters of a value in a message


def shown(value: object) -> str:
    """Format a value for a message: short, and safe if its `repr` fails."""
    try:
        text = repr(value)
    except Exception:  # fails for numbers of 5000 digits, deep lists, and custom types
        return f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def read_numbers(given: object) -> NDArray[np.float64] | None:
    """Read real numbers of any shape; NaN, infinity and texts such as "3" included."""
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
    return [bool(value) for value in values.reshape(-1)]


def read_whole(given: object) -> int | None:
    """Read a whole number; True and 1.0 are refused."""
    is_flag = isinstance(given, bool) or "bool" in str(getattr(given, "dtype", ""))
    try:
        return None if is_flag else operator.index(given)  # type: ignore[arg-type]
    except UNREADABLE:
        return None


def is_finite_number(given: object) -> bool:
    """Whether it is a number in the range of a float, and not a boolean."""
    try:
        is_number = isinstance(given, Real) and not isinstance(given, bool)
        return is_number and math.isfinite(given)  # type: ignore[arg-type]
    except OverflowError:
        return False


def read_row(given: Any) -> tuple[float, ...]:  # noqa: ANN401 - any argument
    """Read a row of numbers; empty for anything else."""
    if isinstance(given, NOT_ROWS):
        return ()
    try:
        return tuple(float(value) for value in given)
    except UNREADABLE:
        return ()


def _array(given: Any) -> NDArray[Any]:  # noqa: ANN401 - any argument
    """Convert to an array; numpy does not support bfloat16."""
    if not isinstance(given, Tensor):
        return np.asarray(given)
    return (given.double() if given.is_floating_point() else given).numpy(force=True)
