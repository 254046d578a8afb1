"""Search for an original `.pt` checkpoint among files, on the Hub, and in the Hub's cache."""

import os
from collections.abc import Iterable, Mapping
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

from sam2_hf.model.configs.configuration_checks import checked_config, read_json_object
from sam2_hf.model.configs.configuration_rules import ENCODERS
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

from .bundled_models import OFFLINE_HINT
from .checkpoint_errors import CheckpointError, CheckpointNotFoundError, first_line

ORIGINAL_SUFFIXES = (".pt", ".pth")
FILE_SUFFIXES = (*ORIGINAL_SUFFIXES, ".safetensors")  # of weight files
CONFIG = "config.json"
NAMES_SHOWN = 8  # of the files in a folder


def find_local_original(source: str | os.PathLike[str], subfolder: str = "") -> Path | None:
    """Find the checkpoint that a path refers to.

    Args:
        source: Path to a `.pt`, `.pth` or `.safetensors`, a folder, or anything else.
        subfolder: Folder inside the folder.

    Returns:
        The file itself, or the only `.pt` of a folder that has no weights for transformers to
        read; None for everything else, Hub ids included.

    Raises:
        CheckpointNotFoundError: If the path has such a suffix and does not exist.
        CheckpointError: If the folder holds several checkpoints.
    """
    path = Path(source)
    if path.suffix in FILE_SUFFIXES and not path.is_dir():
        if not path.is_file():
            raise CheckpointNotFoundError(f"there is no file {path}. Check the path.")
        return path
    folder = path / subfolder
    if not path.is_dir() or not folder.is_dir():
        return None
    names = [entry.name for entry in folder.iterdir()]
    if any(is_for_transformers(name) for name in names):
        return None
    only = only_original(names, str(folder))
    return folder / only if only else None


def require_weights(folder: str | os.PathLike[str], subfolder: str = "") -> None:
    """Refuse a folder without weights; other paths pass.

    Raises:
        CheckpointNotFoundError: If the folder has none; the message lists what is there.
    """
    if not os.path.isdir(folder):
        return
    where = Path(folder) / subfolder
    names = sorted(entry.name for entry in where.iterdir()) if where.is_dir() else []
    if not any(is_for_transformers(name) for name in names):
        raise CheckpointNotFoundError(
            f"the folder {where} has no weights, neither model.safetensors nor a .pt file; "
            f"it holds {listing(names)}. Pass the folder the weights are in."
        )


def shards_of(index: Path) -> list[Path]:
    """List the shards of a safetensors or torch index.

    Args:
        index: A `...index.json`, whose `weight_map` has a file name for each weight.

    Raises:
        CheckpointError: If it is damaged, or names a file outside its folder.
        CheckpointNotFoundError: If a file that it names is not there.
    """
    fields = read_json_object(index)
    named = fields.get("weight_map")
    if not isinstance(named, dict) or not isinstance(fields.get("metadata", {}), dict):
        raise CheckpointError(
            f"{index} is damaged: it must hold a weight_map and metadata. Download it again."
        )
    for name in named.values():
        # an index is untrusted: it must not lead out of the folder
        if not isinstance(name, str) or Path(name).name != name or "\0" in name:
            raise CheckpointError(
                f"{index} names the file {name!r}; weights lie beside their index. Download it "
                "again."
            )
        if not (index.parent / name).is_file():
            raise CheckpointNotFoundError(
                f"{index} names the file {name}, which is not there. Download it as well."
            )
    return [index.parent / name for name in sorted(set(named.values()))]


def require_sound_indexes(folder: str | os.PathLike[str], subfolder: str = "") -> None:
    """Refuse a folder with a broken index; see `shards_of`."""
    for index in sorted((Path(folder) / subfolder).glob("*.index.json")):
        shards_of(index)


def config_beside(checkpoint: str | os.PathLike[str]) -> Sam2VideoConfig | None:
    """Read the config.json in the folder of a checkpoint, if it describes a SAM 2.

    Raises:
        CheckpointError: If the file is not a JSON object, or describes no model that can be built.
    """
    path = Path(checkpoint).parent / CONFIG
    if not path.is_file():
        return None
    fields = read_json_object(path)
    if fields.get("model_type") not in ENCODERS:
        return None
    return checked_config(lambda: Sam2VideoConfig.from_dict(fields), str(path))


def is_for_transformers(name: str) -> bool:
    """Tell whether transformers takes weights from a file of this name."""
    is_bin = name.startswith("pytorch_model") and (".bin" in name)
    return name.endswith((".safetensors", ".safetensors.index.json")) or is_bin


def only_original(names: Iterable[str], where: str) -> str | None:
    """Return the only checkpoint among files, None if there is none."""
    found = sorted(name for name in names if name.endswith(ORIGINAL_SUFFIXES))
    if len(found) > 1:
        raise CheckpointError(
            f"{where} holds {len(found)} checkpoints: {listing(found)}. "
            "Pass the path of the one to load."
        )
    return found[0] if found else None


def listing(names: list[str]) -> str:
    """Format a list of file names."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return (", ".join(names[:NAMES_SHOWN]) or "nothing") + more


@dataclass(frozen=True, slots=True)
class HubOptions:
    """Hub options: the arguments of these names of `from_pretrained`."""

    revision: str | None = None
    cache_dir: str | Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    force_download: bool = False
    subfolder: str = ""

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any]) -> Self:
        """Extract the options from the arguments of `from_pretrained`."""
        names = cls.__dataclass_fields__
        return cls(**{name: kwargs[name] for name in names if kwargs.get(name) is not None})

    @property
    def is_offline(self) -> bool:
        """Whether the caller or the environment forbids network access."""
        return self.local_files_only or constants.is_offline_mode()


def find_hub_original(
    repo_id: str, options: HubOptions, *, failure: Exception | None = None
) -> Path:
    """Download the only `.pt` of a Hub repo and its config, or find them in the cache.

    Args:
        repo_id: Model id, `owner/name`.
        options: Options for the Hub.
        failure: Why transformers could not load the repo; raised again if the repo has weights
            that transformers reads, and the cause of every other error. None to use the `.pt`
            regardless of other files.

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
    """Find the only `.pt` of a path, a folder or a Hub repo, regardless of other files.

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
    except Exception:  # HTTP errors, whose classes change between Hub client releases
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
        why = "access to the Hub is switched off" if options.is_offline else "cannot be reached"
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
    """Format the revision, if one was requested."""
    return f" at revision {options.revision!r}" if options.revision else ""
