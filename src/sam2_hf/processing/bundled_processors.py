"""Loading of processors: bundled ones by name, and settings checked."""

import os
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from sam2_hf.errors import ProcessorError, Sam2Error
from sam2_hf.hub_code import saves_code, uploads_code
from sam2_hf.model.checkpoints.bundled_models import bundled_folder

from .processor_settings import FILES, read_settings, require_usable

Source = str | os.PathLike[str]
Processor = TypeVar("Processor")


def checkpoint_source(name: Source) -> Source:
    """Return the folder of a bundled checkpoint, or `name` itself."""
    return bundled_folder(name) or name


def loads_bundled(cls: type[Processor]) -> type[Processor]:
    """Decorate a processor class to load bundled checkpoints by name and check settings.

    Signatures and bases stay those of transformers, which programs inspect. After
    `register_for_auto_class()`, saving writes all code that the class needs beside its settings.
    """
    load = cls.from_pretrained.__func__  # type: ignore[attr-defined]

    @wraps(load)
    def from_pretrained(
        cls: type[Processor], pretrained_model_name_or_path: Source, *args: Any, **kwargs: Any
    ) -> Processor:
        name = pretrained_model_name_or_path
        source = checkpoint_source(name)
        for path in _local_files(Path(source), kwargs.get("subfolder") or ""):
            read_settings(path)
        try:
            loaded = load(cls, source, *args, **kwargs)
        except (OSError, Sam2Error):
            raise
        except Exception as error:  # transformers raises many types for wrong settings
            raise ProcessorError(
                f"the processor of {name} cannot be used: {type(error).__name__}: {error}. Correct "
                "its settings, or download them again."
            ) from error
        require_usable(loaded[0] if isinstance(loaded, tuple) else loaded, str(name))
        return loaded

    cls.from_pretrained = classmethod(from_pretrained)  # type: ignore[attr-defined]
    cls.save_pretrained = saves_code(cls.save_pretrained)  # type: ignore[attr-defined]
    cls._upload_modified_files = uploads_code(cls._upload_modified_files)  # type: ignore[attr-defined]
    return cls


def _local_files(path: Path, subfolder: str) -> list[Path]:
    """List the settings files of a local folder, or the file itself."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    return [file for name in FILES if (file := path / subfolder / name).is_file()]
