"""Frozen dataclasses of plain values from what YAML holds, and back; mistakes name their place."""

import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union

from sam2_hf.errors import TrainingError
from sam2_hf.number_reading import LONGEST, shown

Kind = TypeVar("Kind")
LARGEST = 2**63 - 1  # what libraries take
LONGEST_PLACE = 9  # digits of a place in a list


def from_plain(kind: type[Kind], content: object, place: str = "") -> Kind:
    """Make a dataclass of a mapping, with all that is nested in it.

    Args:
        kind: A dataclass.
        content: What YAML holds: mappings, lists, texts, numbers, booleans, null.
        place: Where it stands, such as `data.0`, for messages.

    Raises:
        TrainingError: A key is unknown or missing, or a value has the wrong type or makes no sense.
    """
    if not isinstance(content, Mapping):
        raise TrainingError(
            f"{place or 'the config'} is {shown(content)}, but it must be a mapping of names to "
            "values."
        )
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # it is a dataclass
    for key in content:
        if key not in names:
            raise TrainingError(_unknown(str(key), names, place))
    if missing := [field.name for field in fields(kind) if _is_required(field, content)]:  # type: ignore[arg-type]  # likewise
        raise TrainingError(
            f"{place or 'the config'} lacks the setting {', '.join(missing)}, which has no default."
        )
    values = {key: _read(hints[key], value, _join(place, key)) for key, value in content.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError, TrainingError) as error:  # a check of its own
        raise TrainingError(f"{place}: {error}" if place else str(error)) from error


def to_plain(value: object) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Turn a dataclass into mappings and lists, as YAML and JSON take them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(one) for one in value]
    return value


def set_values(value: object) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Turn a dataclass into mappings and lists, leaving out the fields that have their default."""
    if isinstance(value, tuple):
        return [set_values(one) for one in value]
    if not is_dataclass(value) or isinstance(value, type):
        return to_plain(value)
    found = {}
    for field in fields(value):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        own = getattr(value, field.name)
        if own != default:
            found[field.name] = set_values(own)
    return found


def with_value(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of nested mappings and lists with one value replaced.

    Args:
        content: What YAML holds; it stays as it is.
        path: Names and places joined by dots, such as `optimiser.learning_rate` or `data.0.path`.
        value: The new value.

    Raises:
        TrainingError: The path leads through a list that is not as long, or through a value.
    """
    return _replaced(content, path.split("."), value, path)


def differences(before: object, after: object, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Compare plain values, down to single ones.

    Returns:
        Place such as `optimiser.learning_rate` -> (value before, value after), for those that
        differ.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = dict.fromkeys([*before, *after])
        pairs = [(_join(place, name), before.get(name), after.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [
            (_join(place, str(number)), one, other)
            for number, (one, other) in enumerate(zip(before, after, strict=True))
        ]
    else:
        return {} if before == after else {place: (before, after)}
    found: dict[str, tuple[Any, Any]] = {}
    for where, one, other in pairs:
        found.update(differences(one, other, where))
    return found


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Write "Did you mean ...?" for a misspelt name, or list all names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Choose one of {', '.join(known)}."


def _is_required(field: Field[Any], content: Mapping[Any, Any]) -> bool:
    has_default = field.default is not MISSING or field.default_factory is not MISSING
    return not has_default and field.name not in content


def _replaced(content: object, path: list[str], value: object, whole: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    if not path:
        return value
    name, *rest = path
    if isinstance(content, list):
        is_place = name.isdecimal() and len(name) <= LONGEST_PLACE
        if not is_place or int(name) >= len(content):
            raise TrainingError(
                f"--set {whole[:LONGEST]}: {name[:LONGEST]} is no place in a list of "
                f"{len(content)}; places count from 0."
            )
        changed = list(content)
        changed[int(name)] = _replaced(changed[int(name)], rest, value, whole)
        return changed
    if content is not None and not isinstance(content, Mapping):
        raise TrainingError(
            f"--set {whole}: there is nothing named {name} inside {shown(content)}."
        )
    below = dict(content or {})
    below[name] = _replaced(below.get(name), rest, value, whole)
    return below


def _read(hint: Any, value: object, place: str) -> Any:  # noqa: ANN401 - types are values here
    """Check one value against the type of its field, and turn lists into tuples."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Union, types.UnionType}:
        return _read_union(arguments, value, place)
    if origin is tuple:
        return _read_tuple(arguments, value, place)
    if is_dataclass(hint):
        return from_plain(hint, {} if value is None else value, place)  # type: ignore[arg-type]
    if origin is Literal:
        return _read_choice(arguments, value, place)
    if hint is float:
        return _read_number(value, place)
    return _read_single(origin or hint, value, place)


def _read_choice(choices: tuple[Any, ...], value: object, place: str) -> object:
    if value not in choices:
        known = [str(one) for one in choices]
        raise TrainingError(f"{place} is {shown(value)}. {nearest_name(str(value), known)}")
    return value


def _read_single(kind: type, value: object, place: str) -> object:
    """Check a text, a whole number, a boolean or a mapping of plain values."""
    is_number = kind is int and isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, kind) or (kind is int and not is_number):
        raise TrainingError(f"{place} is {shown(value)}, but it must be {_KINDS.get(kind, kind)}.")
    if is_number and not -LARGEST <= value <= LARGEST:  # type: ignore[operator]  # it is one
        raise TrainingError(f"{place} is {shown(value)}, but it must have no more than 63 bits.")
    if isinstance(value, Mapping):
        return {str(key): tuple(v) if isinstance(v, list) else v for key, v in value.items()}
    return value


def _read_union(arguments: tuple[Any, ...], value: object, place: str) -> object:
    if value is None and type(None) in arguments:
        return None
    failures = []
    for kind in arguments:
        if kind is type(None):
            continue
        try:
            return _read(kind, value, place)
        except TrainingError as error:
            failures.append(error)
    raise failures[0]


def _read_tuple(arguments: tuple[Any, ...], value: object, place: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TrainingError(f"{place} is {value!r}, but it must be a list.")
    if arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(value)
    elif len(value) == len(arguments):
        kinds = list(arguments)
    else:
        raise TrainingError(f"{place} has {len(value)} values, but it must have {len(arguments)}.")
    pairs = zip(kinds, value, strict=True)
    return tuple(_read(kind, one, f"{place}.{number}") for number, (kind, one) in enumerate(pairs))


def _read_number(value: object, place: str) -> float:
    """Read a number; YAML takes 5e-6, which has no dot, for a text."""
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise TrainingError(f"{place} is {shown(value)}, but it must be a number.")


def _join(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _unknown(key: str, names: Sequence[str], place: str) -> str:
    where = f" in {place}" if place else ""
    return f"there is no setting {key!r}{where}. {nearest_name(key, names)}"


_KINDS = {int: "a whole number", str: "a text", bool: "true or false", Mapping: "a mapping"}
