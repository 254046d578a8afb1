"""`import sam2` for code that cannot be edited: notebooks, nodes of other programs."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from sam2_hf.errors import PackageConflictError

NAME = "sam2"
HERE = "sam2_hf.original"
MODULES = (  # of the original and of its camera fork, that there are here
    "automatic_mask_generator",
    "build_sam",
    "sam2_camera_predictor",
    "sam2_image_predictor",
    "sam2_video_predictor",
    "utils",
    "utils.misc",
)
PACKAGES = ("", "utils")


class _Alias(Loader):
    """Hands out a module of this folder under the original's name."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # it ran under its own name; the import system has just given it the spec of the alias
        module.__spec__ = self._own_spec


class _Finder(MetaPathFinder):
    """Finds `sam2` and `sam2.NAME` in this folder."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top != NAME:
            return None
        if rest and rest not in MODULES:
            raise ModuleNotFoundError(
                f"sam2_hf has no counterpart of the original's {fullname}. It has: "
                f"{', '.join(f'{NAME}.{module}' for module in MODULES)}.",
                name=fullname,
            )
        alias = _Alias(f"{HERE}.{rest}" if rest else HERE)
        return ModuleSpec(fullname, alias, is_package=rest in PACKAGES)


_FINDER = _Finder()


def install() -> None:
    """Let `import sam2` and `from sam2.build_sam import ...` find the modules of this folder.

    It changes nothing else, and nothing is imported before it is asked for. Calling it again has no
    effect; `uninstall` undoes it.

    Raises:
        PackageConflictError: There is another package of this name.

    Example:
        >>> install()
        >>> from sam2.sam2_image_predictor import SAM2ImagePredictor
        >>> uninstall()
    """
    if _FINDER in sys.meta_path:
        return
    where = _other_package()
    if where is not None:
        raise PackageConflictError(
            f"there is another package {NAME} already: {where}. Uninstall it or take it off the "
            f"path, or change imports from {NAME}. to {HERE}."
        )
    # before the finder of files, which would load this folder's files a second time as `sam2.NAME`
    sys.meta_path.insert(0, _FINDER)


def uninstall() -> None:
    """Undo `install`; modules that were imported stay usable.

    Example:
        >>> install()
        >>> uninstall()
    """
    if _FINDER not in sys.meta_path:
        return
    sys.meta_path.remove(_FINDER)
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def _other_package() -> str | None:
    """Tell where a package of the original's name is, if there is one."""
    if NAME in sys.modules:
        return getattr(sys.modules[NAME], "__file__", None) or "it is imported"
    found = importlib.util.find_spec(NAME)
    if found is None:
        return None
    folders = list(found.submodule_search_locations or ())
    # a folder without `__init__.py`, such as a checkout's own, is found as well
    is_real = found.origin or any((Path(folder) / "build_sam.py").is_file() for folder in folders)
    return (found.origin or folders[0]) if is_real else None
