"""What can be wrong with a checkpoint."""


class CheckpointError(ValueError):
    """The weights that were asked for cannot be used."""


class CheckpointNotFoundError(CheckpointError, OSError):
    """No weights are where they were looked for. Also an `OSError`, as transformers raises."""


class CheckpointWriteError(CheckpointError, OSError):
    """A checkpoint could not be written; what had been written of it is removed again."""
