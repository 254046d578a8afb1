"""`sam2-hf everything`: all masks of one or several photos."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from sam2_hf.errors import ImageError
from sam2_hf.interruption import DONE, FAILED, INTERRUPTED
from sam2_hf.overlay import draw_overlay, label_picture
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline
from sam2_hf.processing.images import to_rgb
from sam2_hf.writers.coco_json import as_picture, generated_annotations, write_coco, write_png

from .console import PhotoProgress, note, one_line, say
from .model_choice import choose_model
from .output_files import prepare_folder, unique_stems, with_ending

NOTHING = (
    "0 masks; none was good and stable enough, so lower --pred-iou-thresh and "
    "--stability-score-thresh"
)


def run(arguments: argparse.Namespace) -> int:
    """Segment every photo and write an overlay, a label map and a JSON file for each.

    An unreadable photo is reported and skipped, and the exit code is nonzero. Ctrl-C keeps finished
    photos.

    Raises:
        PromptError: An option has an unusable value.
        OutputError: The results cannot be written.
    """
    known = {field.name for field in fields(EverythingOptions)}
    options = {name: value for name, value in vars(arguments).items() if name in known}
    EverythingOptions().changed(**options).grids()  # validates before anything is loaded
    prepare_folder(arguments.out)
    with PhotoProgress(len(arguments.photos)) as progress:
        try:
            readable = _segment_all(arguments, options, progress)
        except KeyboardInterrupt:
            count = f"{progress.done} of {progress.total} photos are done"
            note(f"interrupted; {count}, their files stay in {arguments.out}")
            return INTERRUPTED
    return DONE if readable else FAILED


def _segment_all(
    arguments: argparse.Namespace, options: dict[str, Any], progress: PhotoProgress
) -> bool:
    """Segment photos one by one; return whether all could be read."""
    chosen = choose_model(arguments)
    pipeline = MaskGenerationPipeline(chosen.model, chosen.image_processor, **options)
    readable = True
    for photo, stem in zip(arguments.photos, unique_stems(arguments.photos), strict=True):
        progress.begin(photo)
        try:
            photo_3hw = to_rgb(photo, None, arguments.value_range)
        except ImageError as error:
            readable = False
            progress.end()
            note(f"error: {one_line(error)}")
            continue
        masks = pipeline(photo_3hw, on_progress=progress.clicks)
        records = generated_annotations(masks)
        overlay = draw_overlay(as_picture(photo_3hw), masks.segmentations)
        base = arguments.out / f"{stem}_everything"
        files = [
            write_png(with_ending(base, "_overlay.png"), overlay),
            write_png(
                with_ending(base, "_masks.png"), label_picture(masks.segmentations, masks.size)
            ),
            write_coco(with_ending(base, ".json"), photo, masks.size, records, chosen.name),
        ]
        progress.end()
        count = f"{len(masks)} masks" if masks else NOTHING
        say("\n  ".join([f"{Path(photo).name}: {count}", *map(str, files)]))
    return readable
