"""What an evaluation is about; its folder holds the results of one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sam2_hf.errors import DataError
from sam2_hf.pipelines.atomic_files import write_atomically

from .environment import Environment
from .measured_model import MeasuredModel

SETTINGS_FILE, SCORES_FILE, TABLE_FILE = "run.json", "scores.json", "scores.md"
CURVES_PICTURE, WORST_PICTURE = "curves.png", "worst.png"
Protocol = Literal["vos", "interactive", "images"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run is about. A folder holds the results of one.

    Attributes:
        protocol: "vos", "interactive" or "images".
        data_set: Name of the set, or of several.
        prompt: What objects are given by.
        model: Which model.
        environment: What it ran on.
    """

    protocol: Protocol
    data_set: str
    prompt: str
    model: MeasuredModel
    environment: Environment

    def save(self, out: Path) -> None:
        """Write the settings, or refuse a folder with the results of others.

        Raises:
            DataError: The folder has results of other settings.
            OutputError: The folder cannot be written.
        """
        path = out / SETTINGS_FILE
        if path.exists():
            known = read_settings(path)
            new = json.loads(self._text())
            if differing := [name for name in new if new[name] != known.get(name)]:
                name = differing[0]
                raise DataError(
                    f"{out} holds results of another run: its {name} is {known.get(name)}, this "
                    f"one's {new[name]}. Choose another --out, or remove it."
                )
        write_atomically(path, self._text().encode())

    def _text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def read_settings(path: Path) -> dict[str, Any]:
    """Read what a folder's results are of.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}), so nothing tells which run its folder is of. "
            "Choose another --out, or remove it."
        ) from error
