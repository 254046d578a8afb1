"""Exports on their way to the Hub: a folder is pushed with a card of what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import torch
from huggingface_hub import HfApi, ModelCard, ModelCardData, constants

from sam2_hf.errors import ExportError
from sam2_hf.model.checkpoints.bundled_models import bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import first_line

from .exported_folder import ExportedFolder
from .hub_download import is_hub_id
from .parity import Parity, cpu_name

README, TEMPLATE = "README.md", "hub_card.md"
LIBRARY = "sam2_hf"
LICENSE_FIELDS = ("license", "license_name")


def push_export(
    export: ExportedFolder,
    repo_id: str,
    rows: Sequence[Parity],
    *,
    source: str,
    private: bool = False,
) -> str:
    """Upload an exported folder, with a model card in place of its README.

    Args:
        export: The folder.
        repo_id: The Hub repo, `owner/name`, or `name` for one of the user's; created if missing.
        rows: What was measured, for the card.
        source: The model it was made of: Hub id, name of a bundled model, or path.
        private: Whether a repo that is created can only be seen by its owner.

    Returns:
        The address of the repo.

    Raises:
        ExportError: The export is of float32 and not equal to the model; or the Hub refuses or
            cannot be reached. The folder stays.
    """
    _require_equal(export, rows)
    hub = HfApi()
    try:
        # a bare name gets its owner here
        repo_id = hub.create_repo(repo_id, private=private, exist_ok=True).repo_id
        card = export_card(export, repo_id, rows, source)
        hub.upload_folder(
            repo_id=repo_id,
            folder_path=export.folder,
            ignore_patterns=[README],
            commit_message="Add an export of SAM 2",
        )
        hub.upload_file(
            path_or_fileobj=str(card).encode(),
            path_in_repo=README,
            repo_id=repo_id,
            commit_message="Add the model card",
        )
    except Exception as error:  # also HTTP errors, whose classes change between Hub clients
        raise ExportError(
            f"{export.folder} could not be pushed to {repo_id}: {first_line(error)}. The export is "
            f"complete in that folder; push it later with `hf upload {repo_id} {export.folder}`."
        ) from error
    return f"{constants.ENDPOINT}/{repo_id}"


def _require_equal(export: ExportedFolder, rows: Sequence[Parity]) -> None:
    """Refuse an export in float32 whose masks are not the model's."""
    wrong = [row for row in rows if not row.is_equal]
    if export.dtype == "float32" and wrong:
        row = wrong[0]
        raise ExportError(
            f"{export.folder} was not pushed, because it is not equal to the model: {row.work} "
            f"differs by {row.difference:.1e}, lowest IoU {row.least_iou:.4f}. Export the model "
            "again, or with other versions of PyTorch and the runtime."
        )


def export_card(
    export: ExportedFolder, repo_id: str, rows: Sequence[Parity], source: str
) -> ModelCard:
    """Make a model card: how to run the export, and how far it is from the model.

    Args:
        export: The folder.
        repo_id: Where it will be.
        rows: What was measured.
        source: As of `push_export`.
    """
    license_fields = _license_of(source)
    data = ModelCardData(
        library_name=LIBRARY,
        pipeline_tag="mask-generation",
        base_model=source if is_hub_id(source) else None,
        tags=[export.format_name, "sam2", "segmentation"],
        license=license_fields.get("license"),
        license_name=license_fields.get("license_name"),
    )
    title, _, body = _readme(export).partition("\n")
    text = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    words = {
        "title": title,
        "repo": repo_id,
        "table": _table(rows),
        "machine": _machine(),
        "runtime": export.runtime,
        "body": body.strip().replace(f'"{export.folder.name}"', f'"{repo_id}"'),
    }
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{Template(text).substitute(words)}")


def _readme(export: ExportedFolder) -> str:
    """Read the README of an export; its name as a title where that was removed."""
    path = export.folder / README
    return path.read_text(encoding="utf-8") if path.is_file() else f"# {export.folder.name}"


def _license_of(source: str) -> Mapping[str, str]:
    """Read the license in the card of a model; empty if it says none or there is no card."""
    try:
        card = (bundled_folder(source) or Path(source).expanduser()) / README
        data = ModelCard.load(str(card) if card.is_file() else source).data.to_dict()
    except Exception:  # no card, no network, or not readable: nothing is claimed
        return {}
    return {key: data[key] for key in LICENSE_FIELDS if isinstance(data.get(key), str)}


def _table(rows: Sequence[Parity]) -> str:
    lines = [
        f"| {row.work} | {row.difference:.1e} | {row.mean_iou:.4f} | {row.least_iou:.4f} "
        f"| {1000 * row.model_seconds:.0f} | {1000 * row.graph_seconds:.0f} |"
        for row in rows
    ]
    head = "| | largest difference | mean IoU | lowest IoU | PyTorch, ms | export, ms |"
    return "\n".join([head, "|---|---|---|---|---|---|", *lines])


def _machine() -> str:
    """Name the processor and the number of threads."""
    return f"{cpu_name()}, {torch.get_num_threads()} thread(s), PyTorch {torch.__version__}"
