"""Settings of an evaluation run, saved with its results."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sam2_hf import SessionOptions
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

from .environment import Environment
from .measured_model import MeasuredModel

SETTINGS_FILE, SCORES_FILE, TABLE_FILE = "run.json", "scores.json", "scores.md"
CURVES_PICTURE, WORST_PICTURE = "curves.png", "worst.png"
Protocol = Literal["vos", "interactive", "images", "everything"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Settings of a run; a folder holds the results of one run.

    Attributes:
        protocol: "vos", "interactive", "images" or "everything".
        data_set: Name of the set, or of several.
        data: Fingerprint of the data.
        prompt: Kind of prompt.
        model: Identity of the model.
        environment: Its environment.
        options: Session options that differ from the defaults, by name, or those of the pipeline
            that were given; empty for photos.
    """

    protocol: Protocol
    data_set: str
    data: str
    prompt: str
    model: MeasuredModel
    environment: Environment
    options: dict[str, Any] = field(default_factory=dict)

    def save(self, out: Path) -> None:
        """Write the settings, or refuse a folder with results of other settings.

        Raises:
            DataError: The folder has results of other settings.
            OutputError: The folder cannot be written.
        """
        path = out / SETTINGS_FILE
        if path.exists():
            known = read_settings(path)
            new = json.loads(self._text())
            if differing := [name for name in new if new[name] != known.get(name)]:
                name, theirs, ours = _first_difference(differing[0], known, new)
                raise DataError(
                    f"{out} holds results of another run: its {name} is {theirs}, this one's "
                    f"{ours}. Choose another --out, or remove it."
                )
        write_atomically(path, self._text().encode())

    def _text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def changed_options(options: SessionOptions) -> dict[str, Any]:
    """List the options that differ from the defaults, by name."""
    defaults = SessionOptions()
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value for name, value in values.items() if value != getattr(defaults, name)}


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a folder's results.

    Raises:
        DataError: It cannot be read.
    """
    try:
        content = load_json(path)
        if not isinstance(content, dict):
            raise TypeError(f"a {type(content).__name__}")
        return content
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}), so the run of its folder is unknown. "
            "Choose another --out, or remove it."
        ) from error


def _first_difference(
    name: str, known: dict[str, Any], new: dict[str, Any]
) -> tuple[str, object, object]:
    """Return the first value that differs, also within a group."""
    theirs, ours = known.get(name), new[name]
    if isinstance(theirs, dict) and isinstance(ours, dict):
        either = {**ours, **theirs}  # a group has only what differs from the defaults
        inner = next(key for key in either if theirs.get(key) != ours.get(key))
        return f"{name}.{inner}", theirs.get(inner), ours.get(inner)
    return name, theirs, ours
