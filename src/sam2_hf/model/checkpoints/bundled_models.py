"""Checkpoints in packages of their own, found by their bare name without network access.

Models, configs and processors share this lookup. It is the only file of this folder that
`processing/` imports, so of its neighbors it imports errors alone.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from transformers.utils import logging

from .checkpoint_errors import CheckpointNotFoundError

SMALL_MODEL = "sam2-hiera-micro"
PACKAGES = {SMALL_MODEL: "sam2_hf_micro"}  # each holds the files of one checkpoint
CHECKOUT = Path(__file__).parents[4] / "checkpoints"  # where the packages lie beside the source
OFFLINE_HINT = f" {SMALL_MODEL!r} needs no network: pip install 'sam2-hf[micro]'."  # ends messages

logger = logging.get_logger(__name__)


def bundled_folder(name: str | os.PathLike[str]) -> Path | None:
    """Find the folder of a checkpoint that is installed as a package, or lies in the checkout.

    A folder of this name on disk takes precedence, as over a Hub id; this is logged once.

    Args:
        name: The argument of `from_pretrained`.

    Returns:
        None for everything else: paths, Hub ids, unknown names.

    Raises:
        CheckpointNotFoundError: The package of this name is not installed.
    """
    bare = os.fspath(name)
    if bare not in PACKAGES:
        return None
    folder = next((place for place in _places(bare) if (place / "config.json").is_file()), None)
    if Path(bare).is_dir():
        if folder is not None:
            logger.warning_once(
                f"{bare} is taken from the folder {Path(bare).absolute()}, not from the package "
                f"{PACKAGES[bare]}. Rename the folder to get that one."
            )
        return None
    if folder is None:
        raise CheckpointNotFoundError(
            f"{bare} is not installed. Its weights are a package of their own: "
            "pip install 'sam2-hf[micro]'."
        )
    return folder


def _places(name: str) -> list[Path]:
    """List where the files of a checkpoint may lie."""
    package = PACKAGES[name]
    found = find_spec(package)
    installed = [] if found is None else list(found.submodule_search_locations or ())
    return [*map(Path, installed), CHECKOUT / name / package]
