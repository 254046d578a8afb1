"""`sam2-hf segment`: segment the objects of clicks or boxes in a photo."""

import argparse
from pathlib import Path

from sam2_hf.errors import PromptError
from sam2_hf.interruption import DONE
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

from .console import say
from .model_choice import choose_model
from .output_files import prepare_folder, unique_stems, with_ending


def run(arguments: argparse.Namespace) -> int:
    """Segment and write an overlay, a mask picture and a JSON file.

    Raises:
        ImageError: The photo cannot be read.
        PromptError: The prompts contradict each other or do not fit the photo.
        OutputError: The results cannot be written.
    """
    prompts = _prompts(arguments)
    photo_3hw = to_rgb(arguments.photo, None, arguments.value_range)
    size = photo_3hw.shape[1], photo_3hw.shape[2]
    for prompt in prompts:  # before anything is loaded; the model's size does not matter here
        prompt.check(size, 0, "the object")
    prepare_folder(arguments.out)
    chosen = choose_model(arguments)
    pipeline = ImageSegmentationPipeline(chosen.model, chosen.image_processor)
    is_ambiguous = len(arguments.points) == 1 and not arguments.boxes
    results = pipeline(photo_3hw, prompts, multimask=is_ambiguous or arguments.all)
    photo_hw3 = as_picture(photo_3hw)
    (stem,) = unique_stems([arguments.photo])
    drawn = DrawnPrompts(tuple(arguments.points), tuple(arguments.boxes))
    for tag, rows in _pictures(results, every=arguments.all).items():
        masks = [result.masks[row] for result, row in rows]
        base = arguments.out / f"{stem}_segment{tag}"
        overlay = draw_overlay(photo_hw3, masks, drawn)
        files = [
            write_png(with_ending(base, "_overlay.png"), overlay),
            write_png(with_ending(base, "_mask.png"), mask_picture(masks)),
            write_coco(
                with_ending(base, ".json"),
                arguments.photo,
                size,
                [answer_annotation(result, row, drawn) for result, row in rows],
                chosen.name,
            ),
        ]
        scores = ", ".join(f"{result.scores[row]:.3f}" for result, row in rows)
        say(f"{Path(arguments.photo).name}: predicted IoU {scores}")
        say("\n".join(f"  {file}" for file in files))
    return DONE


def _prompts(arguments: argparse.Namespace) -> list[ObjectPrompt]:
    """Convert points and boxes to objects: one, or one per box.

    Raises:
        PromptError: There is neither, or points come with several boxes.
    """
    clicks = [Click((x, y), positive=positive) for x, y, positive in arguments.points]
    boxes = arguments.boxes
    if clicks and len(boxes) > 1:
        raise PromptError(
            f"there are points and {len(boxes)} boxes, so it is not clear which box the points "
            "belong to. Give points with one box, or boxes alone."
        )
    if not clicks and not boxes:
        raise PromptError("there is no prompt. Point at the object with --point X,Y or --box.")
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
