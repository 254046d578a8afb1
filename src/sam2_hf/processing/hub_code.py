"""Code saved with a processor, so that `trust_remote_code` finds all of it.

The Hub's loader follows single-dot imports inside one folder only. Processors span several folders,
so every file that they need is written flat, and imports across folders become single-dot imports.
"""

import re
import sys
from pathlib import Path

from sam2_hf.errors import ProcessorError

PACKAGE = Path(__file__).parents[1]
ACROSS = re.compile(r"from sam2_hf\.((?:\w+\.)*)(\w+) import")
WHOLE = re.compile(r"^from sam2_hf import (\w+)(?= as \w+$|$)", flags=re.MULTILINE)
WITHIN = re.compile(r"^\s*from \.(\w+) import", flags=re.MULTILINE)


def write_code(kind: type, folder: Path) -> None:
    """Write the file of a class, and every file of this package that it needs.

    Args:
        kind: The class.
        folder: Where `save_pretrained` has written its settings.

    Raises:
        ProcessorError: Two of the files have the same name.
    """
    own = Path(str(sys.modules[kind.__module__].__file__))
    if not own.is_relative_to(PACKAGE):
        return  # a class of the caller's, or loaded from a folder with all its code
    written: dict[str, Path] = {}
    waiting = [own]
    while waiting:
        path = waiting.pop()
        if written.setdefault(path.name, path) != path:
            raise ProcessorError(
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
