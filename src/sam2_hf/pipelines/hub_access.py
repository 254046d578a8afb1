"""Is a model at hand, and does the Hub answer?

Asked before loading, because loading without a network retries for long.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from huggingface_hub import constants, get_session
from huggingface_hub.file_download import repo_folder_name

from sam2_hf.model.bundled_models import OFFLINE_HINT, bundled_folder
from sam2_hf.model.checkpoint_errors import CheckpointNotFoundError

SECONDS_TO_ANSWER = 4.0  # huggingface_hub itself retries for about 23 seconds before it gives up
LEAST_REFUSAL = 500  # statuses from here on: the server, or a proxy before it, is in trouble
PARTS_OF_AN_ID = 2  # owner/name


def hub_answers(model_id: str, seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Ask the Hub about a model, for a sign of life.

    Args:
        model_id: Hub id; whether there is such a model plays no part.
        seconds: How long to wait for it, name look-up included.

    Returns:
        False also where HF_HUB_OFFLINE forbids asking.
    """
    if constants.is_offline_mode():
        return False
    answers: list[int] = []
    # A look-up of the name can hang longer than any timeout of the request, hence the thread.
    asking = threading.Thread(target=_ask, args=(answers, model_id, seconds), daemon=True)
    asking.start()
    asking.join(seconds)
    return bool(answers) and answers[0] < LEAST_REFUSAL


def is_cached(model_id: str, cache_dir: str | os.PathLike[str] | None = None) -> bool:
    """Tell whether some revision of a Hub repo has been downloaded before."""
    folder = repo_folder_name(repo_id=model_id, repo_type="model")
    snapshots = Path(cache_dir or constants.HF_HUB_CACHE) / folder / "snapshots"
    return snapshots.is_dir() and any(snapshots.iterdir())


def loading_options(
    source: str | os.PathLike[str], given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, bool]:
    """Choose how to load a model, without waiting for a network that is not there.

    Args:
        source: Hub id, name of a bundled checkpoint, or path.
        given: What the caller says to `from_pretrained`: `cache_dir`, `local_files_only`.

    Returns:
        `{"local_files_only": True}` where the cache has the model and the Hub does not answer, else
        nothing special.

    Raises:
        CheckpointNotFoundError: It is no file or folder here, not bundled, not in the cache, and
            the Hub does not answer.
    """
    name = os.fspath(source)
    if Path(name).expanduser().exists() or bundled_folder(name) is not None:
        return {}
    if not _may_be_hub_id(name):
        raise CheckpointNotFoundError(
            f"there is no file or folder {name}. Check the path, or give a Hub id such as "
            "facebook/sam2.1-hiera-tiny."
        )
    if not given.get("local_files_only") and hub_answers(name):
        return {}
    if is_cached(name, given.get("cache_dir")):
        return {"local_files_only": True}
    reason = "local_files_only is set"
    if not given.get("local_files_only"):
        reason = f"{constants.ENDPOINT} does not answer"
    raise CheckpointNotFoundError(
        f"the model {name} is not on this machine and {reason}. "
        f"Connect to a network, or give the path of a folder or a .pt file.{OFFLINE_HINT}"
    )


def _may_be_hub_id(name: str) -> bool:
    is_path = name.startswith((".", "~", os.sep)) or name.endswith((".pt", ".pth", ".safetensors"))
    return not is_path and name.count("/") < PARTS_OF_AN_ID and "\\" not in name


def _ask(answers: list[int], model_id: str, seconds: float) -> None:
    """Put the status of a small request into `answers`; leave it empty if there is none."""
    url = f"{constants.ENDPOINT}/{model_id}/resolve/main/config.json"
    try:
        response = get_session().head(url, timeout=seconds)
    except Exception:  # whatever goes wrong in this thread, the Hub gave no answer
        return
    answers.append(response.status_code)
