"""Model card of the bundled model, made from its scores.

    python -m evaluation.micro.card runs/micro checkpoints/sam2-hiera-micro/sam2_hf_micro

The first folder is the output of `python -m evaluation.micro`, the second the model's; the card is
its README.md. Every number in it is measured or counted; a model with other weights than the
measured ones is refused.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from safetensors import safe_open

from evaluation.card_text import BODY, LIMITS_BESIDE_BASELINES, RESEARCH
from evaluation.comparison.measurements import PhotoScores, best_clip_scores, best_photo_scores
from evaluation.comparison.model_answers import MODEL
from evaluation.comparison.score_file import Scores, load_scores
from evaluation.curves import Table, find_logs, read_table
from evaluation.exit_status import exit_status
from evaluation.measured_model import WEIGHTS, MeasuredModel, file_hash, weights_file
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json
from sam2_hf.training.config_io import read_config

from .bundle import PART
from .table import BASELINES, clip_table, sets_of, settings_list, summary_table

COMMAND = "make micro"
PHOTO_MARGIN, CLIP_MARGIN = 0.10, 10.0  # above the best baseline, to count as clearly better
MEGA = 1e6
HOUR = 3600  # seconds
MASK_STRIDE = 4  # of the decoder's masks


@dataclass(frozen=True, slots=True)
class Making:
    """Training of a model.

    Attributes:
        command: The training command.
        hardware: Hardware, such as "two CPU cores"; empty if not stated.
    """

    command: str = COMMAND
    hardware: str = ""


def model_card(scores: Scores, folder: Path, making: Making, checks: Path | None = None) -> str:
    """Fill in the card.

    Args:
        scores: The measured scores.
        folder: The model's folder.
        making: Its training.
        checks: Output of `evaluation.micro.checks`.

    Returns:
        Markdown with the Hub's metadata at the top.

    Raises:
        DataError: Scores or checks are of another model, or the scores of baselines only.
    """
    model = _measured(scores, folder)
    scores = replace(scores, model=model)
    return f"---\n{card_data(scores, model).to_yaml()}\n---\n\n" + BODY.format(
        name=model.name,
        research=RESEARCH,
        parameters=model.parameters / MEGA,
        megabytes=model.file_bytes / MEGA,
        dtype=_stored_as(folder),
        side=model.image_size,
        mask_side=model.image_size // MASK_STRIDE,
        sha256=model.sha256,
        summary=summary_table(scores),
        verdict=verdict(scores),
        settings=settings_list(scores),
        clips=clip_table(scores),
        checks="" if checks is None else _checks_table(checks, model),
        command=making.command,
        training=_training(folder, making),
        files=_files(folder),
    )


def card_data(scores: Scores, model: MeasuredModel) -> ModelCardData:
    """Collect the Hub's metadata: license, tags, data sets, results."""
    results = []
    for name in sets_of(scores):
        photos = best_photo_scores(scores.photo_scores(name)).get(MODEL)
        clips = best_clip_scores(scores.clip_scores(name)).get(MODEL)
        value = photos.mean_iou if photos else clips.j_and_f if clips else None
        if value is not None:
            results.append(
                EvalResult(
                    task_type="mask-generation",
                    dataset_type=name.replace("/", " ").split()[0],
                    dataset_name=name,
                    metric_type="mean_iou" if photos else "j_and_f",
                    metric_name="mean IoU, one click" if photos else "J&F, first mask given",
                    metric_value=round(value, 4 if photos else 2),
                )
            )
    return ModelCardData(
        model_name=model.name,
        license="other",
        license_name="research-use",
        license_link="README.md",
        library_name="transformers",
        pipeline_tag="mask-generation",
        tags=["sam2", "segmentation", "video", "research"],
        datasets=["bsds500", "coco", "davis-2016"],
        eval_results=results or None,
    )


def verdict(scores: Scores) -> str:
    """Compare the model with the best baseline of each set, in words."""
    lines = []
    for part_name in sets_of(scores):
        best = _values(scores, part_name)
        known = [best[method] for method in BASELINES if method in best]
        if MODEL in best and known:
            lines.append(_sentence(scores, part_name, best[MODEL] - max(known)))
    return "\n".join([*lines, "", LIMITS_BESIDE_BASELINES]) if lines else ""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.micro.card", description=__doc__.splitlines()[0]
    )
    parser.add_argument("scores", type=Path, help="output of python -m evaluation.micro")
    parser.add_argument("folder", type=Path, help="the model's folder; README.md goes there")
    parser.add_argument("--checks", type=Path, help="output of python -m evaluation.micro.checks")
    parser.add_argument("--command", default=COMMAND, help=f"training command ({COMMAND})")
    parser.add_argument("--hardware", default="", help='what it was trained on, "two CPU cores"')
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the card."""
    options = build_parser().parse_args(arguments)
    making = Making(options.command, options.hardware)

    def write() -> None:
        scores = load_scores(options.scores)
        card = model_card(scores, options.folder, making, options.checks)
        sys.stdout.write(f"{write_atomically(options.folder / 'README.md', card.encode())}\n")

    return exit_status(write, "run it again")


def _measured(scores: Scores, folder: Path) -> MeasuredModel:
    """Check that the scores are of the weights in the folder."""
    file = weights_file(str(folder))
    here = file_hash(file) if file else "no weights"
    if scores.model is None or scores.model.sha256 != here:
        measured = scores.model.sha256[:12] if scores.model else "no model"
        raise DataError(
            f"the scores are of {measured}, but {folder} holds {here[:12]}. "
            f"Measure it: python -m evaluation.micro --model {folder} --data ... --out ..."
        )
    return replace(scores.model, name=folder.resolve().name)


def _checks_table(path: Path, model: MeasuredModel) -> str:
    """List further checks of the same weights as a table, with a blank line above.

    Raises:
        DataError: The file cannot be read, or is of other weights.
    """
    try:
        content = load_json(path)
        measured = str(content["sha256"])
        checks = {name: float(value) for name, value in dict(content["checks"]).items()}
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no checks ({error!r}).") from error
    if measured != model.sha256:
        raise DataError(
            f"the checks in {path} are of {measured[:12]}, but the scores of {model.sha256[:12]}. "
            "Run python -m evaluation.micro.checks with this model."
        )
    rows = [f"| {name} | {value:.4g} |" for name, value in checks.items()]
    return "\n".join(["", "| further checks | |", "|---|---|", *rows, ""])


def _stored_as(folder: Path) -> str:
    """Return the type of the weights in the file."""
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        types = {str(file.get_tensor(name).dtype) for name in file.keys()}  # noqa: SIM118 - no dict
    return ", ".join(sorted(types)).replace("torch.", "")


def _values(scores: Scores, name: str) -> dict[str, float]:
    photos = best_photo_scores(scores.photo_scores(name))
    clips = best_clip_scores(scores.clip_scores(name))
    found = {method: score.mean_iou for method, score in photos.items()}
    return {**found, **{method: score.j_and_f for method, score in clips.items()}}


def _sentence(scores: Scores, name: str, ahead: float) -> str:
    photos = any(
        part.data_set == name and isinstance(part.measured, PhotoScores) for part in scores.parts
    )
    margin, style, unit = (
        (PHOTO_MARGIN, ".3f", "mean IoU") if photos else (CLIP_MARGIN, ".1f", "J&F")
    )
    if ahead <= 0:
        return f"- {name}: not better than the best baseline ({ahead:{style}} {unit})."
    how = "clearly better" if ahead >= margin else "better, but not clearly,"
    return f"- {name}: {how} than the best baseline (+{ahead:{style}} {unit})."


def _training(folder: Path, making: Making) -> str:
    """Describe the duration of training, from its log."""
    try:
        log = read_table(find_logs(folder)[0])
    except DataError:
        return ""
    parts = [f"{log.steps[-1]:,.0f} steps"]
    if "seconds" in log.columns:
        parts.append(f"{log.columns['seconds'][-1] / HOUR:.1f} hours")
    hardware = f" on {making.hardware}" if making.hardware else ""
    return f"It took {' and '.join(parts)}{hardware}.{_skipped(log)}{_stopped(folder, log)}"


def _skipped(log: Table) -> str:
    """Describe replaced items, if there are any."""
    skipped = log.columns.get("skipped")
    if skipped is None or not skipped[-1]:
        return ""
    return f" {skipped[-1]:,.0f} times, a photo or clip had no usable object and was replaced."


def _stopped(folder: Path, log: Table) -> str:
    """Describe parts that ended before the last step of their recipe."""
    if PART not in log.columns:
        return ""
    note, before = "", 0.0
    for path in sorted(folder.glob("recipe-*.yaml")):
        number = int(path.stem.removeprefix("recipe-"))
        of_part = [
            step for step, part in zip(log.steps, log.columns[PART], strict=True) if part == number
        ]
        done, planned = max(of_part, default=before) - before, read_config(str(path)).steps
        before += done
        if planned and done < planned:
            note += f" Part {number} was stopped after {done:,.0f} of its {planned:,} steps."
    return note


def _files(folder: Path) -> str:
    """List the training files beside the card, with the curves as a picture."""
    recipes = {
        path.name: f"every setting of part {number}"
        for number, path in enumerate(sorted(folder.glob("recipe-*.yaml")), start=1)
    }
    known = {
        **recipes,
        "training.csv": "losses over steps",
        "validation.csv": "validation scores over steps",
    }
    lines = [
        f"- [{name}]({name}): {what}" for name, what in known.items() if (folder / name).exists()
    ]
    curves = ["", "![Losses and validation scores over steps](curves.png)"]
    return "\n".join([*lines, *(curves if (folder / "curves.png").exists() else [])])


if __name__ == "__main__":
    sys.exit(main())
