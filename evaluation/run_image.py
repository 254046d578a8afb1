r"""Click every object of sets of photos, and compare the masks: mean IoU after 1, 3 and 5 clicks.

    accelerate launch -m evaluation.run_image --model ./sam2.1-tiny --out runs/photos \
        --data coco-val=coco:~/coco/annotations/instances_val2017.json bsds=pairs:~/bsds500/val

Every click goes to the center of the object or of the error; see `evaluation.images.clicking`. A
stopped run resumes when started again: finished photos are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import PartialState
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.images.clicking import NUM_CLICKS, click_photo
from evaluation.images.photos import PhotoSet, all_photos, open_photo_sets
from evaluation.images.results import photo_files, save_scores, set_score
from evaluation.images.worst_objects import draw_worst
from sam2_hf import Sam2Model
from sam2_hf.errors import DataError
from sam2_hf.training.validation import as_image_model

from .exit_status import exit_status
from .item_files import ItemFiles
from .loaded_model import add_model_options, load_model
from .run_settings import SCORES_FILE, TABLE_FILE, WORST_PICTURE, RunSettings
from .shared_run import join_processes, share_out


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.run_image", description=__doc__.splitlines()[0]
    )
    add_model_options(parser)
    parser.add_argument(
        "--data", required=True, nargs="+", metavar="NAME=KIND:PATH", help="sets of photos"
    )
    parser.add_argument("--out", type=Path, required=True, help="output folder of scores")
    parser.add_argument(
        "--min-area",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="minimum area of objects, fraction of the photo",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all sets, and print the paths of the results."""
    options = build_parser().parse_args(arguments)
    stopped = f"finished photos stay in {options.out}. Run it again to continue"
    return exit_status(lambda: run(options), stopped)


def run(options: argparse.Namespace) -> None:
    """Process a share of the photos; the first process then combines all scores.

    Raises:
        DataError: An option is out of range, or data cannot be used.
    """
    if not 0 <= options.min_area < 1:
        raise DataError(f"--min-area is {options.min_area}. It is a share: give 0 to below 1.")
    sets = open_photo_sets(options.data, options.min_area)
    loaded = load_model(options, join_processes().device)
    settings = loaded.settings(
        "images",
        ", ".join(photos.name for photos in sets),
        ", ".join(photos.source.fingerprint() for photos in sets),
        f"{', '.join(map(str, NUM_CLICKS))} clicks; objects of {options.min_area:g} of a photo",
    )
    model = as_image_model(loaded.model)
    share_out(
        loaded,
        settings,
        options.out,
        lambda state: _do_share(sets, model, options.out, state),
        lambda: _finish(sets, settings, model, options.out),
    )


def _do_share(sets: Sequence[PhotoSet], model: Sam2Model, out: Path, state: PartialState) -> None:
    """Click on the unfinished photos."""
    mine = list(all_photos(sets))[state.process_index :: state.num_processes]
    for photos, item in tqdm(mine, unit="photo", disable=not state.is_main_process):
        files, name = _files(photos, out), photos.photo_name(item)
        if files.load(name) is None:
            photo = photos.photo(item)
            iou_nk = np.zeros((0, len(NUM_CLICKS))) if photo is None else click_photo(model, photo)
            files.save(name, iou_nk)


def _finish(sets: Sequence[PhotoSet], settings: RunSettings, model: Sam2Model, out: Path) -> None:
    """Combine the scores of all photos."""
    measured = {
        photos.name: list(_files(photos, out).load_all(photos.photo_names()).values())
        for photos in sets
    }
    scores = {name: set_score(name, found, NUM_CLICKS) for name, found in measured.items()}
    save_scores(out, settings, scores)
    draw_worst(model, sets, measured, NUM_CLICKS[-1], out / WORST_PICTURE)
    sys.stdout.write((out / TABLE_FILE).read_text(encoding="utf-8"))
    sys.stderr.write(f"written to {out / SCORES_FILE}, {TABLE_FILE} and {WORST_PICTURE} there\n")


def _files(photos: PhotoSet, out: Path) -> ItemFiles[NDArray[np.float64]]:
    return photo_files(out, photos.name, len(NUM_CLICKS))


if __name__ == "__main__":
    sys.exit(main())
