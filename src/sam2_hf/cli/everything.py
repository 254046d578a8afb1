"""`sam2-hf everything`: all masks of one or several photos, or everything in a video."""

import argparse
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from sam2_hf.cli.inputs.sources import Source
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline
from sam2_hf.processing.images import to_rgb
from sam2_hf.results.photo_files import PhotoToWrite
from sam2_hf.results.pictures import as_picture

from .batch import PhotoResult, work_through
from .everything_video import find_in_video
from .model_choice import choose_model, choose_scorer
from .output_files import prepare_folder
from .photo_outputs import write_photo
from .progress import PhotoProgress
from .report import object_facts

NOTHING = (
    "0 masks; none was good and stable enough, so lower --pred-iou-thresh and "
    "--stability-score-thresh"
)


def run(arguments: argparse.Namespace) -> int:
    """Segment every photo, or the video, and write the results that `--save` lists.

    Raises:
        PromptError: An option has an unusable value.
        CheckpointError: A model cannot be loaded.
        VideoError: The video cannot be read.
        OutputError: The results cannot be written.
    """
    if arguments.video is not None:
        return find_in_video(arguments)
    known = {field.name for field in fields(EverythingOptions)}
    options = {name: value for name, value in vars(arguments).items() if name in known}
    EverythingOptions().changed(**options).grids()  # validates before anything is loaded
    prepare_folder(arguments.out)
    chosen = choose_model(arguments)
    arguments.report.model = chosen.name
    labels = arguments.labels
    scorer = None if labels is None else choose_scorer(arguments)
    pipeline = MaskGenerationPipeline(
        chosen.model, chosen.image_processor, labels=labels, scorer=scorer, **options
    )

    def segment(photo: Path, source: Source, stem: str, progress: PhotoProgress) -> PhotoResult:
        photo_3hw = to_rgb(photo, None, arguments.value_range)
        masks = pipeline(photo_3hw, on_progress=progress.clicks)
        photo_hw3, objects = as_picture(photo_3hw), masks.found_objects()
        found = PhotoToWrite(
            objects=objects,
            size=masks.size,
            photo=source.photo_name,
            picture=partial(np.asarray, photo_hw3),
            overlay=partial(masks.plot, photo_hw3),
            model=chosen.name,
            stem=stem,
            is_numbered=True,
        )
        base = arguments.out / f"{stem}_everything"
        count = f"{len(masks)} masks" if masks else NOTHING
        return PhotoResult(
            count,
            masks.size,
            masks=object_facts(objects),
            write=partial(write_photo, arguments.save, base, found),
        )

    return work_through(arguments, segment)
