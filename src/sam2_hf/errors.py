"""Errors of this package. Each message says what happened, the value, and what to do."""

import difflib
from collections.abc import Collection


class Sam2Error(Exception):
    """Base of every error raised outside `model/`."""


class PromptError(Sam2Error, ValueError):
    """A point, label, box, mask or size cannot be used as a prompt."""


class OptionError(PromptError, TypeError):
    """An argument or option has an unknown name."""

    def __init__(self, what: str, name: str, known: Collection[str]) -> None:
        super().__init__(f"{what} has no option {name!r}. {nearest_hint(name, known)}")
        self.name = name


class KindError(PromptError, TypeError):
    """An argument has a type that cannot be read."""


class ImageError(Sam2Error, ValueError):
    """A picture cannot be read, or cannot be converted to RGB."""


class ProcessorError(ImageError):
    """The saved settings of a processor cannot be used."""


class OutputError(Sam2Error, OSError):
    """A result could not be written; no partial file is left."""


class MissingPackageError(Sam2Error, ImportError):
    """A required optional package is not installed."""

    def __init__(self, package: str, *, purpose: str, install: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed. {install}"
        )
        self.package = package


class PackageConflictError(Sam2Error, ImportError):
    """Another package has the name that one of ours would be imported by."""


class DetectionError(Sam2Error, RuntimeError):
    """A detector or scorer failed, or answered what cannot be used."""


class VideoError(Sam2Error, ValueError):
    """A video cannot be opened: it is missing, empty, of an unknown format, or several videos."""


class FrameError(Sam2Error, LookupError):
    """A frame is unavailable: beyond the video, unreadable, or dropped by a live stream.

    Attributes:
        tracked: Result of the video pipeline up to the frame; None elsewhere.
    """

    tracked: object = None


class DataError(Sam2Error, ValueError):
    """A photo, clip or mask of a data set is unusable or missing."""


class NoObjectError(DataError):
    """A photo or clip is valid, but has no usable object."""


class TrainingError(Sam2Error, RuntimeError):
    """A training run cannot start or continue."""


class ExportError(Sam2Error, ValueError):
    """A model cannot be exported, or an exported one cannot be used."""


class SessionError(Sam2Error, RuntimeError):
    """A session cannot do something in its current state."""


class UnknownObjectError(Sam2Error, LookupError, RuntimeError):
    """There is no object of this id in the session."""

    def __init__(self, object_id: int, known_ids: Collection[int]) -> None:
        known = ", ".join(map(str, sorted(known_ids))) or "none"
        super().__init__(
            f"there is no object {object_id} in this session. Objects: {known}. "
            f"session.click(frame=..., object_id={object_id}, xy=(x, y)) would add it."
        )


class NoPromptError(Sam2Error, LookupError, RuntimeError):
    """An object cannot be tracked before it has a prompt or a reference."""

    def __init__(self, object_id: int | None, prompted_ids: Collection[int]) -> None:
        known = ", ".join(map(str, sorted(prompted_ids))) or "none"
        number, what = object_id, f"object {object_id} has no prompt and no reference"
        if object_id is None:
            number, what = 1, "no object has a prompt or a reference"
        super().__init__(
            f"{what}, so there is nothing to propagate. "
            f"Call session.click(frame=..., object_id={number}, xy=(x, y)) first, or add a box, a "
            f"mask or a reference (session.reference). Objects with prompts or references: {known}."
        )


def nearest_hint(name: str, known: Collection[str]) -> str:
    """Suggest the nearest known name, or list all."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {close[0]}?" if close else f"Choose from: {', '.join(sorted(known))}."
