"""Loading processors: those that come with this package by name, and all of them checked.

`model/bundled_models.py` finds the models of the same folders in the same way. Neither folder of
code imports the other, so the rule stands in both; a test holds them equal.
"""

import os
from pathlib import Path
from typing import Any, Self

from sam2_hf.errors import ProcessorError, Sam2Error

from .hub_code import write_code
from .processor_settings import FILES, read_settings, require_usable

BUNDLED = Path(__file__).parents[1] / "bundled"  # a folder per checkpoint


class FromBundled:
    """Mix into a processor: its `from_pretrained` then knows bundled checkpoints by name, too."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> Self:
        """Load from a bundled checkpoint, a folder or the Hub; else as the base class does.

        Raises:
            ProcessorError: A file is damaged, or a setting in it cannot be used.
        """
        name = pretrained_model_name_or_path
        source = bundled_folder(name) or name
        for path in _local_files(Path(source), kwargs.get("subfolder") or ""):
            read_settings(path)
        try:
            loaded = super().from_pretrained(source, *args, **kwargs)  # type: ignore[misc]
        except (OSError, Sam2Error):
            raise
        except Exception as error:  # wrong types make transformers raise almost anything
            raise ProcessorError(
                f"the processor of {name} cannot be used: {type(error).__name__}: {error}. Correct "
                "its settings, or download them again."
            ) from error
        require_usable(loaded[0] if isinstance(loaded, tuple) else loaded, str(name))
        checked: Self = loaded
        return checked

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        push_to_hub: bool = False,  # noqa: FBT001, FBT002 - transformers' signature
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 - what the base class returns
        """Save settings and, after `register_for_auto_class()`, all code; then push if asked."""
        if self._auto_class is None:  # type: ignore[attr-defined]
            return super().save_pretrained(save_directory, push_to_hub, **kwargs)  # type: ignore[misc]
        if push_to_hub:  # which saves to a folder of its own first, and so the code as well
            repo_id = kwargs.pop("repo_id", Path(save_directory).name)
            return self.push_to_hub(repo_id, **kwargs)  # type: ignore[attr-defined]
        saved = super().save_pretrained(save_directory, **kwargs)  # type: ignore[misc]
        write_code(type(self), Path(save_directory))
        return saved


def bundled_folder(name: str | os.PathLike[str]) -> Path | None:
    """Find the folder of a bundled checkpoint; None for all else, folders of that name included."""
    bare = os.fspath(name)
    if bare in ("", ".", "..") or Path(bare).name != bare or Path(bare).is_dir():
        return None
    folder = BUNDLED / bare
    return folder if (folder / "config.json").is_file() else None


def _local_files(path: Path, subfolder: str) -> list[Path]:
    """List the settings of a folder on disk, or a file of them itself."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    return [file for name in FILES if (file := path / subfolder / name).is_file()]
