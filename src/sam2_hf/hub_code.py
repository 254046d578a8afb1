"""Code saved with models, configs and processors, so that `trust_remote_code` finds all of it.

transformers copies the file of a class registered by `register_for_auto_class()`, and files it
imports by a single dot. These classes need files of several folders, so every one of them is
written flat, and imports across folders become single-dot imports.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from .errors import OutputError

Save = TypeVar("Save", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent
ACROSS = re.compile(r"from sam2_hf\.((?:\w+\.)*)(\w+) import")
WHOLE = re.compile(r"^from sam2_hf import (\w+)(?= as \w+$|$)", flags=re.MULTILINE)
WITHIN = re.compile(r"^\s*from \.(\w+) import", flags=re.MULTILINE)


def saves_code(save: Save) -> Save:
    """Wrap `save_pretrained` of transformers to write all code of a registered class."""

    @wraps(save)
    def save_pretrained(
        self: Any,  # noqa: ANN401 - a model, config or processor
        save_directory: str | os.PathLike[str],
        *args: Any,
        **kwargs: Any,
    ) -> object:
        if self._auto_class is None:
            return save(self, save_directory, *args, **kwargs)
        with _registered_config(self):
            saved = save(self, save_directory, *args, **kwargs)
        write_code(type(self), Path(save_directory))
        return saved

    return cast(Save, save_pretrained)


@contextmanager
def _registered_config(model: Any) -> Iterator[None]:  # noqa: ANN401 - or a config or processor
    """Save the config of a registered model with its class: transformers' reads fewer fields."""
    config = getattr(model, "config", None)
    if config is None or config._auto_class is not None:
        yield
        return
    config._auto_class = "AutoConfig"
    try:
        yield
    finally:
        del config._auto_class


def uploads_code(upload: Save) -> Save:
    """Wrap `_upload_modified_files`, with which `save_pretrained(push_to_hub=True)` ends."""

    @wraps(upload)
    def upload_modified_files(
        self: Any,  # noqa: ANN401 - as above
        working_dir: str | os.PathLike[str],
        *args: Any,
        **kwargs: Any,
    ) -> object:
        if self._auto_class is not None:
            write_code(type(self), Path(working_dir))
        return upload(self, working_dir, *args, **kwargs)

    return cast(Save, upload_modified_files)


def write_code(kind: type, folder: Path) -> None:
    """Write the file of a class, and every file of this package that it needs.

    Args:
        kind: The class.
        folder: Where `save_pretrained` has written its files.

    Raises:
        OutputError: Two of the files have the same name.
    """
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or not (own := Path(file)).is_relative_to(PACKAGE):
        return  # a class of the caller's, or loaded from a folder with all its code
    written: dict[str, Path] = {}
    waiting = [own]
    while waiting:
        path = waiting.pop()
        if written.setdefault(path.name, path) != path:
            raise OutputError(
                f"{path} and {written[path.name]} cannot both be saved as {path.name}."
            )
        text = path.read_text(encoding="utf-8")
        needed = [path.parent / f"{name}.py" for name in WITHIN.findall(text)]
        needed += [PACKAGE.joinpath(*way.split("."), f"{name}.py") for way, name in _across(text)]
        needed += [PACKAGE / f"{name}.py" for name in WHOLE.findall(text)]
        waiting += [file for file in needed if written.get(file.name) != file]
        flat = WHOLE.sub(r"from . import \1", ACROSS.sub(r"from .\2 import", text))
        (folder / path.name).write_text(flat, encoding="utf-8")


def _across(text: str) -> list[tuple[str, str]]:
    """List the folders and files imported by absolute names."""
    return [(way.rstrip("."), name) for way, name in ACROSS.findall(text)]
