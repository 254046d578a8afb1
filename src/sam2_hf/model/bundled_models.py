"""Bundled checkpoints, found by their bare name without network access.

Models, configs and processors share this lookup. It is the only file of this folder that
`processing/` imports, so it imports none of its neighbors.
"""

import os
from pathlib import Path

from transformers.utils import logging

BUNDLED = Path(__file__).parents[1] / "bundled"  # a folder per checkpoint
SMALL_MODEL = "sam2-hiera-micro"
OFFLINE_HINT = f" {SMALL_MODEL!r} comes with sam2_hf and needs no network."  # ends messages

logger = logging.get_logger(__name__)


def bundled_folder(name: str | os.PathLike[str]) -> Path | None:
    """Find the folder of a bundled checkpoint.

    A folder of this name on disk takes precedence, as over a Hub id; this is logged once.

    Args:
        name: The argument of `from_pretrained`.

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
