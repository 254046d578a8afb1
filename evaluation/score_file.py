"""Scores in a JSON file that grows set by set, so that an interrupted measurement goes on.

A part of it is taken over by a later run as long as nothing it depends on has changed: the files of
the set, the rules of measuring, and the model's weights if it is about the model.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

from .measured_model import MeasuredModel
from .measurements import ClipScore, ClipScores, PhotoScore, PhotoScores

RULES = "1"  # of measuring; another number makes every part be measured again
FILE_NAME = "scores.json"


@dataclass(frozen=True, slots=True)
class ScorePart:
    """What was measured in one go.

    Attributes:
        data_set: Name of the set.
        subject: "baselines" or "model".
        depends: A digest of all that the scores depend on.
        measured: The scores.
    """

    data_set: str
    subject: str
    depends: str
    measured: PhotoScores | ClipScores


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of a model and of the baselines.

    Attributes:
        model: The model; None if only baselines were measured.
        parts: What was measured.
    """

    model: MeasuredModel | None = None
    parts: tuple[ScorePart, ...] = ()

    def find(self, data_set: str, subject: str) -> ScorePart | None:
        """Find a part."""
        for part in self.parts:
            if (part.data_set, part.subject) == (data_set, subject):
                return part
        return None

    def photo_scores(self, data_set: str) -> list[PhotoScore]:
        """List everything that was measured on a set of photos."""
        parts = [part.measured for part in self.parts if part.data_set == data_set]
        return [one for part in parts if isinstance(part, PhotoScores) for one in part.scores]

    def clip_scores(self, data_set: str) -> list[ClipScore]:
        """List everything that was measured on a set of clips."""
        parts = [part.measured for part in self.parts if part.data_set == data_set]
        return [one for part in parts if isinstance(part, ClipScores) for one in part.scores]

    def with_part(self, part: ScorePart) -> Self:
        """Return these scores with a part in the place of an older one of its kind."""
        others = (
            one
            for one in self.parts
            if (one.data_set, one.subject) != (part.data_set, part.subject)
        )
        return replace(self, parts=(*others, part))

    def save(self, folder: Path) -> Path:
        """Write the file, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        return write_atomically(
            folder / FILE_NAME, (json.dumps(asdict(self), indent=2) + "\n").encode()
        )


def load_scores(path: Path) -> Scores:
    """Read a file that `Scores.save` wrote.

    Args:
        path: The file, or the folder it is in.

    Raises:
        DataError: The file is missing or holds something else.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        content = load_json(file)
        model = content["model"] and MeasuredModel(**content["model"])
        return Scores(model, tuple(_part(one) for one in content["parts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} holds no scores ({error!r}). `python -m evaluation.micro` writes such a file; "
            "remove this one to measure again."
        ) from error


def digest(files: Iterable[Path], *more: str) -> str:
    """Hash the names and contents of files, and what else there is, into 16 hexadecimal digits.

    Raises:
        DataError: A file is missing.
    """
    sha = hashlib.sha256(RULES.encode())
    for path in sorted(files):
        try:
            sha.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}). Get the file again.") from error
    for text in more:
        sha.update(text.encode())
    return sha.hexdigest()[:16]


def _part(content: dict[str, Any]) -> ScorePart:
    measured = content["measured"]
    kind, row = (PhotoScores, PhotoScore) if "photos" in measured else (ClipScores, ClipScore)
    scores = tuple(row(**one) for one in measured["scores"])
    return ScorePart(**{**content, "measured": kind(**{**measured, "scores": scores})})
