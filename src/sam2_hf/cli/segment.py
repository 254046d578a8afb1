"""`sam2-hf segment`: segment the objects of clicks, boxes or names in photos."""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from sam2_hf.cli.inputs.sources import Source
from sam2_hf.pipelines.image_segmentation import ImageSegmentationPipeline
from sam2_hf.pipelines.segmentation_result import SegmentationList, SegmentationResult
from sam2_hf.processing.images import to_rgb
from sam2_hf.processing.prompts import Click, ObjectPrompt
from sam2_hf.results.labeled_overlay import draw_objects
from sam2_hf.results.photo_files import PhotoToWrite
from sam2_hf.results.pictures import as_picture

from .batch import PhotoResult, work_through
from .model_choice import choose_detector, choose_model
from .output_files import prepare_folder
from .photo_outputs import write_photo
from .progress import PhotoProgress
from .report import object_facts
from .save_options import names_by_id


def run(arguments: argparse.Namespace) -> int:
    """Segment every photo, and write the results that `--save` lists.

    Raises:
        ImageError: The only photo cannot be read.
        PromptError: A prompt lies outside the only photo.
        CheckpointError: A model cannot be loaded.
        OutputError: The results cannot be written.
    """
    prompts = _prompts(arguments)
    names = names_by_id(arguments.names, range(1, len(prompts) + 1))
    asked: dict[str, Any] = {"text": arguments.text} if arguments.text else {"objects": prompts}
    is_ambiguous = len(arguments.points) == 1 and not arguments.boxes
    only = arguments.sources[0].path if len(arguments.sources) == 1 else None
    ready = {} if only is None else {only: _read(only, prompts, arguments)}
    prepare_folder(arguments.out)
    chosen = choose_model(arguments)
    arguments.report.model = chosen.name
    detector = choose_detector(arguments) if arguments.text else None
    pipeline = ImageSegmentationPipeline(chosen.model, chosen.image_processor, detector=detector)

    def segment(photo: Path, source: Source, stem: str, _: PhotoProgress) -> PhotoResult:
        photo_3hw = ready.get(photo)
        if photo_3hw is None:
            photo_3hw = _read(photo, prompts, arguments)
        size, photo_hw3 = (photo_3hw.shape[1], photo_3hw.shape[2]), as_picture(photo_3hw)
        multimask = is_ambiguous or arguments.all
        results = pipeline(photo_3hw, multimask=multimask, **asked).named(names)
        writers: list[Callable[[], list[Path]]] = []
        facts: list[dict[str, Any]] = []
        for tag, rows in _pictures(results, every=arguments.all).items():
            objects = [result.found_object(row) for result, row in rows]
            found = PhotoToWrite(
                objects=objects,
                size=size,
                photo=source.photo_name,
                picture=lambda: photo_hw3,
                overlay=partial(
                    draw_objects, photo_hw3, objects, results.drawn_prompts(), numbered=True
                ),
                model=chosen.name,
                stem=f"{stem}{tag}",
            )
            base = arguments.out / f"{stem}_segment{tag}"
            writers.append(partial(write_photo, arguments.save, base, found))
            facts += object_facts(objects)
        scores = ", ".join(f"{fact['predicted_iou']:.3f}" for fact in facts)
        summary = f"predicted IoU {scores}" if facts else "nothing found"
        return PhotoResult(
            _counted(results) + summary,
            size,
            masks=facts,
            write=lambda: [file for write in writers for file in write()],
        )

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


def _counted(results: SegmentationList) -> str:
    """Say how many objects of each name there are; nothing for objects without names."""
    counts = Counter(result.name for result in results if result.detection_score is not None)
    named = ", ".join(f"{count} x {name}" for name, count in counts.items())
    return f"{named}; " if named else ""


def _pictures(
    results: list[SegmentationResult], *, every: bool
) -> dict[str, list[tuple[SegmentationResult, int]]]:
    """Group masks by set of files: the best of each object in one set, or one set per mask."""
    if not every:
        return {"": [(result, result.best_index) for result in results]}
    rows = [(result, row) for result in results for row in range(len(result.masks))]
    return {f"_{number}": [row] for number, row in enumerate(rows, 1)}
