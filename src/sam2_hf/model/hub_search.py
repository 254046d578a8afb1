"""Find an original `.pt` checkpoint on the Hub, or in the cache of what came from there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from .bundled_models import OFFLINE_HINT
from .checkpoint_errors import CheckpointNotFoundError, first_line
from .checkpoint_search import (
    CONFIG,
    find_local_original,
    is_for_transformers,
    listing,
    only_original,
)


@dataclass(frozen=True, slots=True)
class HubOptions:
    """How to ask the Hub; the arguments of these names of `from_pretrained`."""

    revision: str | None = None
    cache_dir: str | Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    force_download: bool = False
    subfolder: str = ""

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any]) -> Self:
        """Pick the options out of the arguments of `from_pretrained`."""
        names = cls.__dataclass_fields__
        return cls(**{name: kwargs[name] for name in names if kwargs.get(name) is not None})

    @property
    def is_offline(self) -> bool:
        """Whether the caller or the environment forbids asking the Hub."""
        return self.local_files_only or constants.is_offline_mode()


def find_hub_original(
    repo_id: str, options: HubOptions, *, failure: Exception | None = None
) -> Path:
    """Download the only `.pt` of a Hub repo, with the config beside it, or find it in the cache.

    Args:
        repo_id: Model id, `owner/name`.
        options: How to ask the Hub.
        failure: Why transformers could not load the repo; raised again if the repo has weights
            that transformers reads, and the cause of every other error. None if the `.pt` is
            wanted whatever else the repo has.

    Returns:
        Path in the cache.

    Raises:
        CheckpointNotFoundError: If there is no such repo or revision, if it has no weights, or if
            the Hub cannot be reached and the cache has none.
        CheckpointError: If the repo holds several checkpoints.
    """
    try:
        names = None if options.is_offline else _repo_files(repo_id, options)
    except CheckpointNotFoundError as error:
        raise error from failure
    if names is None:
        return _cached_original(repo_id, options, failure=failure)
    if failure is not None and any(is_for_transformers(name) for name in names):
        raise failure
    only = only_original(names, repo_id)
    if only is None:
        what = "original checkpoint, a .pt file"
        if failure is not None:
            what = "weights, neither model.safetensors nor a .pt file"
        raise CheckpointNotFoundError(
            f"the repo {repo_id}{_at(options)} has no {what}; it holds {listing(names)}. "
            "Check the id and the revision."
        ) from failure
    if CONFIG in names:
        _download(repo_id, CONFIG, options)
    return _download(repo_id, only, options)


def find_any_original(source: str | os.PathLike[str], options: HubOptions) -> Path:
    """Find the only `.pt` of a file path, a folder or a Hub repo, whatever else is there.

    Raises:
        CheckpointNotFoundError: If there is none.
        CheckpointError: If there are several.
    """
    path = Path(source)
    if not path.is_dir():
        return find_local_original(path) or find_hub_original(str(source), options)
    names = sorted(entry.name for entry in path.iterdir())
    only = only_original(names, str(path))
    if only is None:
        raise CheckpointNotFoundError(
            f"the folder {path} has no .pt file; it holds {listing(names)}. "
            "Pass the path of an original checkpoint."
        )
    return path / only


def damaged_file(source: str | os.PathLike[str], options: HubOptions) -> str:
    """Name the safetensors file of a folder or a cached repo that cannot be opened."""
    try:
        folder = Path(source) if Path(source).is_dir() else _cached_folder(str(source), options)
    except OSError:
        return str(source)
    for path in sorted((folder / options.subfolder).glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError):
            return str(path)
    return str(source)


def _repo_files(repo_id: str, options: HubOptions) -> list[str] | None:
    """List the files of a repo (inside the subfolder); None if the Hub cannot be reached."""
    endpoint = constants.ENDPOINT
    try:
        info = HfApi().model_info(repo_id, revision=options.revision, token=options.token)
    except GatedRepoError as error:
        raise CheckpointNotFoundError(
            f"the repo {repo_id} is open to approved accounts only. Ask for access at "
            f"{endpoint}/{repo_id}, then run `hf auth login` or pass token=..."
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointNotFoundError(
            f"{repo_id!r} is neither a folder here nor a model on the Hub ({endpoint}), or it is "
            "private. Check the spelling; for a private one run `hf auth login` or pass token=..."
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointNotFoundError(
            f"the repo {repo_id} has no branch, tag or commit {options.revision!r}. See "
            f"{endpoint}/{repo_id}/tree/main for those it has."
        ) from error
    except HFValidationError as error:
        raise CheckpointNotFoundError(
            f"{repo_id!r} is neither a folder here nor a Hub id of the form owner/name. "
            "Check the path."
        ) from error
    except Exception:  # the HTTP client's own errors, which change between Hub client releases
        return None
    names = [sibling.rfilename for sibling in info.siblings or ()]
    prefix = f"{options.subfolder}/" if options.subfolder else ""
    inside = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return [name for name in inside if "/" not in name]


def _download(repo_id: str, name: str, options: HubOptions) -> Path:
    """Fetch one file of a repo into the cache."""
    try:
        path = hf_hub_download(
            repo_id,
            name,
            subfolder=options.subfolder or None,
            revision=options.revision,
            cache_dir=options.cache_dir,
            token=options.token,
            force_download=options.force_download,
        )
    except OSError as error:
        raise CheckpointNotFoundError(
            f"{name} of the repo {repo_id} could not be downloaded: {first_line(error)}. "
            "Check the connection and the free space, then try again."
        ) from error
    return Path(path)


def _cached_original(repo_id: str, options: HubOptions, *, failure: Exception | None) -> Path:
    """Find the checkpoint that was downloaded earlier."""
    try:
        folder = _cached_folder(repo_id, options) / options.subfolder
        names = [entry.name for entry in folder.iterdir()]
    except (OSError, HFValidationError):
        folder, names = Path(), []
    if failure is not None and any(is_for_transformers(name) for name in names):
        raise failure
    only = only_original(names, str(folder))
    if only is None:
        why = "asking the Hub is switched off" if options.is_offline else "cannot be reached"
        where = "" if options.is_offline else f"the Hub ({constants.ENDPOINT}) "
        raise CheckpointNotFoundError(
            f"{repo_id!r}{_at(options)} is neither a folder here nor in the cache of downloads, "
            f"and {where}{why}. Connect and try again, or pass the path of a folder or a .pt file."
            f"{OFFLINE_HINT}"
        ) from failure
    return folder / only


def _cached_folder(repo_id: str, options: HubOptions) -> Path:
    """Find the downloaded files of a repo's revision without asking the Hub."""
    folder = snapshot_download(
        repo_id,
        revision=options.revision,
        cache_dir=options.cache_dir,
        local_files_only=True,
        allow_patterns=[],
    )
    return Path(folder)


def _at(options: HubOptions) -> str:
    """Write out the revision, if one was asked for."""
    return f" at revision {options.revision!r}" if options.revision else ""
