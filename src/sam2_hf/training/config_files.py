"""Read a run's settings from a YAML file or a recipe, change single ones, and write them down.

Two configs of one run may differ only in what does not change its numbers; [`refuse_changes`]
says where they differ.
"""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from sam2_hf.errors import TrainingError
from sam2_hf.number_reading import LONGEST, shown

from .config import TrainConfig
from .plain_values import differences, from_plain, nearest_name, set_values, to_plain, with_value

CONFIG_NAME = "config.yaml"
# Lists can be nested deeper than Python follows, and numbers longer than it reads.
DAMAGE = (OSError, ValueError, RecursionError, yaml.YAMLError)
RECIPES = Path(__file__).parent / "recipes"
# What may differ when a run is resumed: where things lie, and what is told and kept.
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
        changes: `name=value` each, such as `optimiser.learning_rate=1e-4`; the value is YAML.

    Raises:
        TrainingError: There is no such file, it is no YAML, or a setting is unknown or makes no
            sense.
    """
    path = find_config(source)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except DAMAGE as error:
        raise TrainingError(f"{path} cannot be read as YAML: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path} holds no mapping of names to values, but {shown(content)}.")
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
    known = sorted(one.stem for one in RECIPES.glob("*.yaml"))
    raise TrainingError(
        f"there is no file {source[:200]}, and no recipe of that name. "
        f"{nearest_name(source, known)}"
    )


def as_yaml(config: TrainConfig, *, with_defaults: bool = True) -> str:
    """Write the settings of a run as YAML.

    Args:
        config: The run.
        with_defaults: Whether to write settings that have their default value, too.
    """
    content = to_plain(config) if with_defaults else set_values(config)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def refuse_changes(changes: Sequence[str], output: str) -> None:
    """Refuse to go on with a run under other settings or with other data.

    Args:
        changes: What differs, a line each.
        output: The folder of the run.

    Raises:
        TrainingError: Naming all that differs.
    """
    if changes:
        lines = "\n".join(f"  {line}" for line in changes)
        raise TrainingError(
            f"the run in {output} was begun with other settings or data, so it cannot be resumed:\n"
            f"{lines}\nGive the earlier ones, choose another output to begin anew, or go on "
            "with --allow-changes, which no longer gives the numbers of an unchanged run."
        )


def changed_data(before: Sequence[str] | None, now: Sequence[str]) -> list[str]:
    """List the sources whose photos or videos are others now, one line each.

    Args:
        before: What the sources held when the run was begun; None if nobody wrote it down.
        now: What they hold.
    """
    # another number of sources is a changed setting
    pairs = zip(before or (), now, strict=False)
    return [f"the data of {old} are now {new}" for old, new in pairs if old != new]


def changed_settings(before: Mapping[str, Any], now: TrainConfig) -> list[str]:
    """List the settings that differ and matter, one line each.

    Args:
        before: Settings the run was begun with, as plain values.
        now: Those of now. What only names places or says how often to tell may differ.
    """
    found = differences(_completed(before), to_plain(now))
    return [
        f"{name} was {old}, is {new}"
        for name, (old, new) in found.items()
        if not any(fnmatchcase(name, pattern) for pattern in (*FREE_TO_CHANGE, "validation"))
    ]


def _completed(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in settings that did not exist when a run was begun: it had what is now the default."""
    try:
        return to_plain(from_plain(TrainConfig, settings))
    except TrainingError:  # one of them does not exist any more, which is a difference
        return settings


def _read_value(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except DAMAGE as error:
        raise TrainingError(
            f"--set {name}={text[:LONGEST]}: the value is no YAML: {_one_line(error)}"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
