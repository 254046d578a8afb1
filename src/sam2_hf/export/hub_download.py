"""Exports on their way from the Hub: a repo with graphs becomes a folder in the cache."""

import os
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from sam2_hf.errors import ExportError
from sam2_hf.model.checkpoints.checkpoint_errors import first_line

from .onnx_files import GRAPHS, is_export


def download_export(
    repo_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path | None:
    """Download the folder of graphs that a Hub repo holds.

    Args:
        repo_id: The repo, `owner/name`.
        revision: Branch, tag or commit.
        cache_dir: The cache of downloads; the usual one by default.
        token: Of the account that may read the repo; the one logged in by default.
        local_files_only: Whether to look into the cache of downloads only.

    Returns:
        The folder in the cache; None if the repo holds no graphs, does not exist, or cannot be
        reached and is not in the cache.

    Raises:
        ExportError: The download failed.
    """
    is_offline = local_files_only or constants.is_offline_mode()
    if not is_offline:
        try:
            names = HfApi().list_repo_files(repo_id, revision=revision, token=token)
        except Exception:  # HTTP errors, whose classes change between clients
            is_offline = True
        else:
            if not any(Path(name).stem in GRAPHS for name in names):
                return None
    try:
        folder = snapshot_download(
            repo_id,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=is_offline,
        )
    except Exception as error:  # as before
        if is_offline:
            return None
        raise ExportError(
            f"the export {repo_id} could not be downloaded: {first_line(error)}. Check the "
            "connection and the free space, then try again."
        ) from error
    return Path(folder) if is_export(folder) else None


def local_folder(source: str | Path) -> Path:
    """Return the folder of an export: a path itself, or a Hub repo's download.

    Raises:
        ExportError: It is a Hub id, and there is no such export.
    """
    path = Path(source).expanduser()
    if path.exists() or not is_hub_id(str(source)):
        return path
    found = download_export(str(source))
    if found is None:
        raise ExportError(
            f"{str(source)!r} is neither a folder here nor an export on the Hub that can be "
            "reached. Check the name."
        )
    return found


def is_hub_id(name: str) -> bool:
    """Whether a name can only be one of the Hub: `owner/name`, and no path."""
    return name.count("/") == 1 and not Path(name).exists() and may_be_hub_id(name)


def may_be_hub_id(name: str) -> bool:
    """Whether the Hub can have a repo of a name; a folder may have it as well."""
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:  # owner/name
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True
