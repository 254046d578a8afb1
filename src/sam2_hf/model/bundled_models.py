"""Checkpoints that come with this package: found by their bare name, without any network."""

import os
from pathlib import Path
from typing import Any, Self

from transformers.utils import logging

from .checkpoint_errors import CheckpointError
from .configuration_checks import MODEL_TYPES, checked_config, read_json_object

BUNDLED = Path(__file__).parents[1] / "bundled"  # a folder per checkpoint
SMALL_MODEL = "sam2-hiera-micro"
OFFLINE_HINT = f" {SMALL_MODEL!r} comes with sam2_hf and needs no network."  # ends messages

logger = logging.get_logger(__name__)


class FromBundled:
    """Mix into a config: it then knows bundled checkpoints by name, and checks what it reads."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> Self:
        """Load from a bundled checkpoint, a folder or the Hub; else as the base class does.

        Raises:
            CheckpointError: The file is damaged, or no model can be built from it.
        """
        name = pretrained_model_name_or_path
        source = bundled_folder(name) or name
        load = super().from_pretrained  # type: ignore[misc]
        if (path := _local_config(source, kwargs.get("subfolder") or "")) is not None:
            read_json_object(path)
        made: Self = checked_config(lambda: load(source, *args, **kwargs), str(name))
        return made

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read a saved config as a dict, and refuse another network's.

        Raises:
            CheckpointError: It is the config of something else than a SAM 2.
        """
        found: tuple[dict[str, Any], dict[str, Any]] = super().get_config_dict(  # type: ignore[misc]
            pretrained_model_name_or_path, **kwargs
        )
        kind = found[0].get("model_type")
        if kind is not None and kind not in MODEL_TYPES:
            raise CheckpointError(
                f"{pretrained_model_name_or_path} is the config of a model of type {kind!r}, not "
                f"of a SAM 2 ({', '.join(MODEL_TYPES)})."
            )
        vision = found[0].get("vision_config")
        key = cls.base_config_key  # type: ignore[attr-defined]
        if key and key not in found[0] and isinstance(vision, dict) and key in vision:
            return vision, found[1]  # the base class looks for a part on the first level alone
        return found


def bundled_folder(name: str | os.PathLike[str]) -> Path | None:
    """Find the folder of a bundled checkpoint.

    A folder of this name on disk wins, as it does over a Hub id; a note in the log says so once.

    Args:
        name: What `from_pretrained` is given.

    Returns:
        None for everything else: paths, Hub ids, unknown names.
    """
    bare = os.fspath(name)
    if bare in ("", ".", "..") or Path(bare).name != bare:
        return None
    folder = BUNDLED / bare
    if not (folder / "config.json").is_file():
        return None
    if Path(bare).is_dir():
        logger.warning_once(
            f"{bare} is taken from the folder {Path(bare).absolute()}, not from the checkpoint of "
            "this name that comes with sam2_hf. Rename the folder to get that one."
        )
        return None
    return folder


def _local_config(source: str | os.PathLike[str], subfolder: str) -> Path | None:
    """Find the config of a folder on disk, or a config file itself."""
    path = Path(source)
    path = path / subfolder / "config.json" if path.is_dir() else path
    return path if path.is_file() else None
