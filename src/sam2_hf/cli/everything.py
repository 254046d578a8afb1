"""`sam2-hf everything`: all masks of one or several photos."""

import argparse
from dataclasses import fields
from pathlib import Path

from sam2_hf.overlay import draw_overlay, label_picture
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline
from sam2_hf.processing.images import to_rgb
from sam2_hf.writers.coco_json import as_picture, generated_annotations, write_coco, write_png

from .batch import PhotoResult, work_through
from .model_choice import choose_model
from .output_files import prepare_folder, with_ending
from .progress import PhotoProgress
from .report import mask_facts

NOTHING = (
    "0 masks; none was good and stable enough, so lower --pred-iou-thresh and "
    "--stability-score-thresh"
)


def run(arguments: argparse.Namespace) -> int:
    """Segment every photo and write an overlay, a label map and a JSON file for each.

    Raises:
        PromptError: An option has an unusable value.
        OutputError: The results cannot be written.
    """
    known = {field.name for field in fields(EverythingOptions)}
    options = {name: value for name, value in vars(arguments).items() if name in known}
    EverythingOptions().changed(**options).grids()  # validates before anything is loaded
    prepare_folder(arguments.out)
    chosen = choose_model(arguments)
    arguments.report.model = chosen.name
    pipeline = MaskGenerationPipeline(chosen.model, chosen.image_processor, **options)

    def segment(photo: Path, stem: str, progress: PhotoProgress) -> PhotoResult:
        photo_3hw = to_rgb(photo, None, arguments.value_range)
        masks = pipeline(photo_3hw, on_progress=progress.clicks)
        records = generated_annotations(masks)
        overlay = draw_overlay(as_picture(photo_3hw), masks.segmentations)
        labels = label_picture(masks.segmentations, masks.size)
        base = arguments.out / f"{stem}_everything"
        files = [
            write_png(with_ending(base, "_overlay.png"), overlay),
            write_png(with_ending(base, "_masks.png"), labels),
            write_coco(with_ending(base, ".json"), str(photo), masks.size, records, chosen.name),
        ]
        count = f"{len(masks)} masks" if masks else NOTHING
        return PhotoResult(count, masks.size, files, mask_facts(records))

    return work_through(arguments, segment)
