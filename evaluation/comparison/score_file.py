"""Incremental score file in JSON, so that an interrupted measurement can resume.

A later run reuses a part if its dependencies are unchanged: the files of the set, the rules of
measuring, and the model's weights if it is of the model.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from evaluation.measured_model import MeasuredModel
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

from .measurements import ClipScore, ClipScores, PhotoScore, PhotoScores

RULES = "1"  # version of measuring; a change invalidates every part
FILE_NAME = "scores.json"


@dataclass(frozen=True, slots=True)
class ScorePart:
    """Scores of one job.

    Attributes:
        data_set: Name of the set.
        subject: "baselines" or "model".
        depends: Digest of everything that the scores depend on.
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
        parts: The scores.
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
        """List all scores on a set of photos."""
        parts = [part.measured for part in self.parts if part.data_set == data_set]
        return [score for part in parts if isinstance(part, PhotoScores) for score in part.scores]

    def clip_scores(self, data_set: str) -> list[ClipScore]:
        """List all scores on a set of clips."""
        parts = [part.measured for part in self.parts if part.data_set == data_set]
        return [score for part in parts if isinstance(part, ClipScores) for score in part.scores]

    def with_part(self, part: ScorePart) -> Self:
        """Return these scores with a part added or replaced."""
        others = (
            other
            for other in self.parts
            if (other.data_set, other.subject) != (part.data_set, part.subject)
        )
        return replace(self, parts=(*others, part))

    def save(self, folder: Path) -> Path:
        """Write the file atomically.

        Raises:
            OutputError: It cannot be written.
        """
        return write_atomically(
            folder / FILE_NAME, (json.dumps(asdict(self), indent=2) + "\n").encode()
        )


def load_scores(path: Path) -> Scores:
    """Read a file written by `Scores.save`.

    Args:
        path: The file, or its folder.

    Raises:
        DataError: The file is missing or has another form.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        content = load_json(file)
        model = content["model"] and MeasuredModel(**content["model"])
        return Scores(model, tuple(_part(fields) for fields in content["parts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} holds no scores ({error!r}). `python -m evaluation.micro` writes such a file; "
            "remove this one to measure again."
        ) from error


def digest(files: Iterable[Path], *more: str) -> str:
    """Hash the names and contents of files, and further texts, to 16 hexadecimal digits.

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
    scores = tuple(row(**fields) for fields in measured["scores"])
    return ScorePart(**{**content, "measured": kind(**{**measured, "scores": scores})})
