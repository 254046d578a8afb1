"""The errors a user can meet. Each message says what happened, the value, and what to do."""


class Sam2Error(Exception):
    """Parent of every error raised outside `model/`, so that one `except` catches them all."""


class PromptError(Sam2Error, ValueError):
    """A point, label, box, mask or size cannot be used as a prompt."""


class ImageError(Sam2Error, ValueError):
    """A picture cannot be read, or is not an RGB picture by any reading."""


class OutputError(Sam2Error, OSError):
    """A result could not be written; nothing half-written is left behind."""


class MissingPackageError(Sam2Error, ImportError):
    """An optional package is needed for what was asked."""

    def __init__(self, package: str, *, purpose: str, install: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed. {install}"
        )
        self.package = package
