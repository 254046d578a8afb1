"""What can be wrong with a checkpoint, and how to quote another library's message."""


class CheckpointError(ValueError):
    """The weights that were asked for cannot be used."""


class CheckpointNotFoundError(CheckpointError, OSError):
    """No weights are where they were looked for. Also an `OSError`, as transformers raises."""


class CheckpointWriteError(CheckpointError, OSError):
    """A checkpoint could not be written; what had been written of it is removed again."""


class CheckpointMismatchError(CheckpointError, RuntimeError):
    """Weights have other shapes than the config asks for. Also a `RuntimeError`, as in torch."""


def first_line(error: BaseException) -> str:
    """Shorten another library's message for use inside one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
