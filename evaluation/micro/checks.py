"""Further checks of a small model: boxes, hard clips, mask generation, and seams in masks.

    python -m evaluation.micro.checks --data PATH --model FOLDER --out runs/checks.json

PATH holds the data of `python -m evaluation.micro`. Boxes: the mean IoU of a true box around every
segment that is clicked there. Everything: on a few photos of bsds500/val, with the usual
thresholds, the best IoU of any mask with each segment. Seams: ratio of mask edges on borders of the
trunk's windows to the number expected by chance. Clips: J&F.

Suffixes: h, w = rows and columns of a photo, 3 = red, green, blue.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.comparison.baselines import innermost_point
from evaluation.comparison.measurements import ALL_CLIPS, measure_clips
from evaluation.comparison.model_answers import MODEL, ModelGuesser, ModelTracker, Pipelines
from evaluation.exit_status import exit_status
from evaluation.measured_model import describe_model
from evaluation.metrics import region_similarity
from sam2_hf import ObjectPrompt
from sam2_hf.atomic_write import write_atomically

from .__main__ import model_parser
from .pictures import spread
from .sets import HARD_CLIPS, LabeledPhoto, MicroPhotos, bsds_set, coco_set, davis_set

EVERYTHING_PHOTOS = 7
PATCH_STRIDE = 4  # model pixels of a cell of the trunk's first stage
BORDER = 2.0  # largest distance of an edge on a border, model pixels: half a cell of a mask
Mask = NDArray[np.bool_]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks and write the results."""
    options = model_parser("micro_checks", __doc__, "JSON file for the numbers").parse_args(
        arguments
    )
    return exit_status(lambda: check(options), "nothing is written; run it again")


def check(options: argparse.Namespace) -> None:
    """Run all checks."""
    model = Pipelines.load(options.model, options.device)
    photo_sets = (bsds_set(options.data), coco_set(options.data))
    found: dict[str, float] = {}
    for photos in photo_sets:
        found[f"{photos.name}, true boxes, mean IoU"] = box_iou(photos, model)
    first = spread(list(photo_sets[0]), EVERYTHING_PHOTOS)
    found[f"everything, {len(first)} photos, mean best IoU"] = everything_iou(first, model)
    ours, true = seams(tqdm(first, desc="seams", unit="photo"), model)
    found["edges on window borders, times chance"] = ours
    found["true edges on window borders, times chance"] = true
    hard = davis_set(options.data, HARD_CLIPS)
    clips = measure_clips(hard, ModelTracker(model.track), hard.name)
    found |= {
        f"davis16 {score.clip}, J&F": score.j_and_f
        for score in clips.scores
        if score.clip != ALL_CLIPS
    }
    lines = {name: round(value, 4) for name, value in found.items()}
    measured = describe_model(options.model, model.track.model)
    content = {"sha256": measured.sha256, "checks": lines}
    write_atomically(options.out, (json.dumps(content, indent=2) + "\n").encode())
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in lines.items())


def box_iou(photos: MicroPhotos, model: Pipelines) -> float:
    """Prompt every segment with its box, and return the mean IoU."""
    ious: list[float] = []
    for photo in tqdm(photos, total=len(photos), desc=f"{photos.name}, boxes", unit="photo"):
        prompts = [ObjectPrompt(box=box_around(mask_hw)) for mask_hw in photo.segments]
        if prompts:
            answers = model.segment(photo.picture_hw3, prompts)
            pairs = zip(photo.segments, answers, strict=True)
            ious += [region_similarity(truth_hw, answer.best) for truth_hw, answer in pairs]
    return float(np.mean(ious))


def box_around(mask_hw: Mask) -> tuple[float, float, float, float]:
    """Return x and y of the first and the last pixel of a nonempty mask."""
    rows, columns = (np.flatnonzero(mask_hw.any(axis=axis)) for axis in (1, 0))
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def everything_iou(photos: Sequence[LabeledPhoto], model: Pipelines) -> float:
    """Generate masks of some photos with the usual thresholds; return the mean best IoU."""
    ious: list[float] = []
    for photo in tqdm(photos, desc="everything", unit="photo"):
        masks = [mask.segmentation for mask in model.everything(photo.picture_hw3)]
        for truth_hw in photo.segments:
            ious.append(
                max((region_similarity(truth_hw, mask_hw) for mask_hw in masks), default=0.0)
            )
    return float(np.mean(ious))


def seams(photos: Iterable[LabeledPhoto], model: Pipelines) -> tuple[float, float]:
    """Return the ratio of edges on window borders to chance: the model's, and the true one."""
    side = model.track.model.image_size
    trunk = model.track.model.config.vision_config.backbone_config
    window = PATCH_STRIDE * trunk.window_size_per_stage[0]
    guess = ModelGuesser(model.segment)
    counts = np.zeros((2, 3))  # model, truth; edges on borders, all, by chance
    for photo in photos:
        middles = [innermost_point(mask_hw) for mask_hw in photo.segments]
        answers = guess(photo.picture_hw3, middles)
        chosen = [guess.mask_hw for masks in answers for guess in masks if guess.method == MODEL]
        for row, masks in enumerate((chosen, photo.segments)):
            for mask_hw in masks:
                counts[row] += edges_on_borders(mask_hw, side, window)
    on_border, _, expected = counts.T
    ours, true = (on_border / np.maximum(expected, 1e-9)).tolist()
    return ours, true


def edges_on_borders(mask_hw: Mask, side: int, window: int) -> NDArray[np.float64]:
    """Count the edges of a mask that lie on borders of windows.

    Args:
        mask_hw: At the photo's size.
        side: Of the model's square input, to which photos are stretched.
        window: Side of a window, model pixels.

    Returns:
        Edges on borders; edges; number expected on borders by chance.
    """
    total = np.zeros(3)
    for turned_hw in (mask_hw, mask_hw.T):
        edges_w = np.count_nonzero(turned_hw[:, 1:] != turned_hw[:, :-1], axis=0)
        place_w = np.arange(1, turned_hw.shape[1]) * side / turned_hw.shape[1]
        inner_w = (place_w > window / 2) & (place_w < side - window / 2)
        off_w = np.abs(place_w - window * np.round(place_w / window))
        on_w = inner_w & (off_w <= BORDER)
        inner = edges_w[inner_w].sum()
        share = float(on_w.sum()) / max(float(inner_w.sum()), 1.0)
        total += (edges_w[on_w].sum(), inner, inner * share)
    return total


if __name__ == "__main__":
    sys.exit(main())
