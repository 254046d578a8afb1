"""Config files: settings of a run from a YAML file or a recipe, with overrides, and back to YAML.

A typed reader of frozen dataclasses from plain values, whose errors name the setting. (The usual
libraries, dacite or HfArgumentParser, stop at the first error or do not nest.) A resumed run may
only differ in settings that do not change its numbers; `refuse_changes` lists the others.
"""

import difflib
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from sam2_hf.errors import TrainingError
from sam2_hf.number_reading import LONGEST, shown

from .config import TrainConfig

Kind = TypeVar("Kind")
LARGEST = 2**63 - 1  # limit of libraries
RENAMED = {"optimiser": "optimizer"}  # settings of earlier versions: both names are read


def from_plain(kind: type[Kind], content: object, place: str = "") -> Kind:
    """Build a dataclass, including nested ones, from a mapping.

    Args:
        kind: A dataclass.
        content: Parsed YAML: mappings, lists, texts, numbers, booleans, null.
        place: Its path, such as `data.0`, for messages.

    Raises:
        TrainingError: A key is unknown or missing, or a value has the wrong type or is invalid.
    """
    if not isinstance(content, Mapping):
        raise TrainingError(
            f"{place or 'the config'} is {shown(content)}, but it must be a mapping of names to "
            "values."
        )
    content = with_present_names(content)
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # it is a dataclass
    for key in content:
        if key not in names:
            raise TrainingError(_unknown(str(key), names, place))
    if missing := [field.name for field in fields(kind) if _is_required(field, content)]:  # type: ignore[arg-type]  # a dataclass
        raise TrainingError(
            f"{place or 'the config'} lacks the setting {', '.join(missing)}, which has no default."
        )
    values = {key: _read(hints[key], value, _join(place, key)) for key, value in content.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError, TrainingError) as error:  # from its own checks
        raise TrainingError(f"{place}: {error}" if place else str(error)) from error


def with_present_names(content: Mapping[Any, Any]) -> dict[Any, Any]:
    """Rename settings of earlier versions.

    Raises:
        TrainingError: A setting is present under both names.
    """
    for old, new in RENAMED.items():
        if old in content and new in content:
            raise TrainingError(f"the config has {old} and {new}, which is its name now. Keep one.")
    return {RENAMED.get(name, name): value for name, value in content.items()}


def to_plain(value: object) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Convert a dataclass to mappings and lists for YAML and JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def set_values(value: object) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Convert a dataclass to mappings and lists, omitting fields with default values."""
    if isinstance(value, tuple):
        return [set_values(item) for item in value]
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
        content: Parsed YAML; not modified.
        path: Names and indices joined by dots, such as `optimizer.learning_rate` or `data.0.path`.
        value: The new value.

    Raises:
        TrainingError: An index is out of range, or the path leads through a value.
    """
    first, *rest = path.split(".")
    present = with_present_names(content)
    return _replaced(present, [RENAMED.get(first, first), *rest], value, path)


def differences(before: object, after: object, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Compare nested plain values.

    Returns:
        Path such as `optimizer.learning_rate` -> (value before, value after), where they differ.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = dict.fromkeys([*before, *after])
        pairs = [(_join(place, name), before.get(name), after.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [
            (_join(place, str(number)), old, new)
            for number, (old, new) in enumerate(zip(before, after, strict=True))
        ]
    else:
        return {} if before == after else {place: (before, after)}
    found: dict[str, tuple[Any, Any]] = {}
    for where, old, new in pairs:
        found.update(differences(old, new, where))
    return found


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Return "Did you mean ...?" for a misspelled name, or a list of all names."""
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
        is_place = name.isdecimal() and len(name) <= 9
        if not is_place or int(name) >= len(content):
            raise TrainingError(
                f"--set {whole[:LONGEST]}: {name[:LONGEST]} is not an index of a list of "
                f"{len(content)}; indices count from 0."
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
    """Check a value against the type of its field, converting lists to tuples."""
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
        known = [str(choice) for choice in choices]
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
    return tuple(
        _read(kind, item, f"{place}.{number}") for number, (kind, item) in enumerate(pairs)
    )


def _read_number(value: object, place: str) -> float:
    """Read a number; YAML reads 5e-6, which has no dot, as text."""
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


CONFIG_NAME = "config.yaml"
# Lists may be nested deeper, and numbers longer, than Python can handle.
DAMAGE = (OSError, ValueError, RecursionError, yaml.YAMLError)
RECIPES = Path(__file__).parent / "recipes"
# Settings that may change when a run is resumed: paths, logging and checkpoints.
FREE_TO_CHANGE = (
    "output",
    "workers",
    "compile",
    "push",
    "logging.*",
    "checkpoints.*",
    "validation.*",
    "data.*.path",
    "lora.merge",
)


def read_config(source: str, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a config.

    Args:
        source: Path of a YAML file, or the name of a recipe such as `mose-finetune-base-plus`.
        changes: `name=value` each, such as `optimizer.learning_rate=1e-4`; the value is YAML.

    Raises:
        TrainingError: There is no such file, it is not YAML, or a setting is unknown or invalid.
    """
    path = find_config(source)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except DAMAGE as error:
        raise TrainingError(f"{path} cannot be read as YAML: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise TrainingError(
            f"{path} does not hold a mapping of names to values, but {shown(content)}."
        )
    for change in changes:
        name, is_there, value = change.partition("=")
        if not is_there or not name:
            raise TrainingError(f"--set {change!r} is not of the form name=value.")
        content = with_value(content, name, _read_value(name, value))
    return from_plain(TrainConfig, content)


def find_config(source: str) -> Path:
    """Find a config file, or a recipe by its name.

    Raises:
        TrainingError: There is neither.
    """
    path = Path(source)
    recipe = RECIPES / f"{source.removesuffix('.yaml')}.yaml"
    for file in (path, recipe):
        if os.path.isfile(file):  # unlike `Path.is_file`, False for a name that is too long
            return file
    known = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    raise TrainingError(
        f"there is no file {source[:200]}, and no recipe of that name. "
        f"{nearest_name(source, known)}"
    )


def as_yaml(config: TrainConfig, *, with_defaults: bool = True) -> str:
    """Serialize the settings of a run as YAML.

    Args:
        config: The run.
        with_defaults: Whether to include settings with default values.
    """
    content = to_plain(config) if with_defaults else set_values(config)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def refuse_changes(changes: Sequence[str], output: str) -> None:
    """Refuse to resume a run with other settings or other data.

    Args:
        changes: The differences, a line each.
        output: The folder of the run.

    Raises:
        TrainingError: There are differences; it lists them.
    """
    if changes:
        lines = "\n".join(f"  {line}" for line in changes)
        raise TrainingError(
            f"the run in {output} was started with other settings or data, so it cannot be "
            f"resumed:\n"
            f"{lines}\nGive the earlier ones, choose another output to start over, or continue "
            "with --allow-changes, which no longer gives the numbers of an unchanged run."
        )


def changed_data(before: Sequence[str] | None, now: Sequence[str]) -> list[str]:
    """List the sources whose data changed, one line each.

    Args:
        before: Fingerprints at the start of the run; None if not recorded.
        now: Current fingerprints.
    """
    # a changed number of sources is a changed setting
    pairs = zip(before or (), now, strict=False)
    return [f"the data of {old} are now {new}" for old, new in pairs if old != new]


def changed_settings(before: Mapping[str, Any], now: TrainConfig) -> list[str]:
    """List changed settings that affect the numbers, one line each.

    Args:
        before: Settings at the start of the run, as plain values.
        now: Current settings.
    """
    found = differences(_completed(before), to_plain(now))
    return [
        f"{name} was {old}, is {new}"
        for name, (old, new) in found.items()
        if not any(fnmatchcase(name, pattern) for pattern in (*FREE_TO_CHANGE, "validation"))
    ]


def _completed(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in settings that are newer than the run: it had today's defaults."""
    try:
        return to_plain(from_plain(TrainConfig, settings))
    except TrainingError:  # a setting no longer exists, which is a difference
        return settings


def _read_value(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except DAMAGE as error:
        raise TrainingError(
            f"--set {name}={text[:LONGEST]}: the value is not YAML: {_one_line(error)}"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
