"""`sam2-hf segment`: segment the objects of clicks or boxes in photos."""

import argparse
from pathlib import Path
from typing import Any

from torch import Tensor

from sam2_hf.overlay import DrawnPrompts, draw_overlay
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_hf.pipelines.image_segmentation import ImageSegmentationPipeline
from sam2_hf.processing.images import to_rgb
from sam2_hf.processing.prompts import Click, ObjectPrompt
from sam2_hf.writers.coco_json import (
    answer_annotation,
    as_picture,
    mask_picture,
    write_coco,
    write_png,
)

from .batch import PhotoResult, work_through
from .model_choice import choose_model
from .output_files import prepare_folder, with_ending
from .progress import PhotoProgress
from .report import mask_facts


def run(arguments: argparse.Namespace) -> int:
    """Segment every photo and write an overlay, a mask picture and a JSON file for each.

    Raises:
        ImageError: The only photo cannot be read.
        PromptError: A prompt lies outside the only photo.
        OutputError: The results cannot be written.
    """
    prompts = _prompts(arguments)
    drawn = DrawnPrompts(tuple(arguments.points), tuple(arguments.boxes))
    is_ambiguous = len(arguments.points) == 1 and not arguments.boxes
    only = arguments.sources[0].path if len(arguments.sources) == 1 else None
    ready = {} if only is None else {only: _read(only, prompts, arguments)}
    prepare_folder(arguments.out)
    chosen = choose_model(arguments)
    arguments.report.model = chosen.name
    pipeline = ImageSegmentationPipeline(chosen.model, chosen.image_processor)

    def segment(photo: Path, stem: str, _: PhotoProgress) -> PhotoResult:
        photo_3hw = ready.get(photo)
        if photo_3hw is None:
            photo_3hw = _read(photo, prompts, arguments)
        size, photo_hw3 = (photo_3hw.shape[1], photo_3hw.shape[2]), as_picture(photo_3hw)
        results = pipeline(photo_3hw, prompts, multimask=is_ambiguous or arguments.all)
        files: list[Path] = []
        facts: list[dict[str, Any]] = []
        scores: list[str] = []
        for tag, rows in _pictures(results, every=arguments.all).items():
            masks = [result.masks[row] for result, row in rows]
            records = [answer_annotation(result, row, drawn) for result, row in rows]
            base = arguments.out / f"{stem}_segment{tag}"
            overlay = draw_overlay(photo_hw3, masks, drawn)
            files += [
                write_png(with_ending(base, "_overlay.png"), overlay),
                write_png(with_ending(base, "_mask.png"), mask_picture(masks)),
                write_coco(with_ending(base, ".json"), str(photo), size, records, chosen.name),
            ]
            facts += mask_facts(records, len(facts) + 1)
            scores += [f"{result.scores[row]:.3f}" for result, row in rows]
        return PhotoResult(f"predicted IoU {', '.join(scores)}", size, files, facts)

    return work_through(arguments, segment)


def _read(photo: Path, prompts: list[ObjectPrompt], arguments: argparse.Namespace) -> Tensor:
    """Read a photo as `(3, height, width)`, and check the prompts against it."""
    photo_3hw = to_rgb(photo, None, arguments.value_range)
    for prompt in prompts:
        prompt.check((photo_3hw.shape[1], photo_3hw.shape[2]), 0, "the object")
    return photo_3hw


def _prompts(arguments: argparse.Namespace) -> list[ObjectPrompt]:
    """Convert points and boxes to objects: one, or one per box."""
    clicks = [Click((x, y), positive=positive) for x, y, positive in arguments.points]
    boxes = arguments.boxes
    if clicks:
        return [ObjectPrompt(clicks=clicks, box=boxes[0] if boxes else None)]
    return [ObjectPrompt(box=box) for box in boxes]


def _pictures(
    results: list[SegmentationResult], *, every: bool
) -> dict[str, list[tuple[SegmentationResult, int]]]:
    """Group masks by set of files: the best of each object in one set, or one set per mask."""
    if not every:
        return {"": [(result, result.best_index) for result in results]}
    rows = [(result, row) for result in results for row in range(len(result.masks))]
    return {f"_{number}": [row] for number, row in enumerate(rows, 1)}
