"""Check of the eight released models on the Hub against known values.

    python -m convert_checkpoints.check_released
    python -m convert_checkpoints.check_released sam2.1_hiera_tiny sam2_hiera_tiny

Exit code 0: all predictions are correct; 1: one is not; 2: nothing could be checked,
for instance because the Hub cannot be reached.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import HfApi, constants, hf_hub_download
from PIL import Image

from sam2_hf import Sam2Model, Sam2Processor
from sam2_hf.model.checkpoints.released_models import RELEASED

from .command_line import DIFFERENT, EQUAL, FAILED, run, say
from .known_values import CLICK, KNOWN_VALUES, PHOTO_FILE, PHOTO_REPO, TOLERANCE, KnownValues

PATIENCE = 10.0  # seconds to wait for the Hub's first answer


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here contacts the Hub."""
    parser = argparse.ArgumentParser(
        prog="python -m convert_checkpoints.check_released",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [known.name for known in KNOWN_VALUES]
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=f"all, or some of: {', '.join(names)}"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Check all models, printing a line for each."""
    parser = build_parser()
    chosen = parser.parse_args(arguments).models
    unknown = set(chosen) - {known.name for known in KNOWN_VALUES}
    if unknown:
        parser.error(f"no released model is called {', '.join(sorted(unknown))}")
    if (reason := why_unreachable()) is not None:
        say(f"The Hub ({constants.ENDPOINT}) cannot be reached, so nothing was checked: {reason}")
        return FAILED
    photo = Path(hf_hub_download(PHOTO_REPO, PHOTO_FILE))
    selected = [known for known in KNOWN_VALUES if not chosen or known.name in chosen]
    equal = [check(known, photo) for known in selected]
    say(f"{sum(equal)} of {len(equal)} models predict what they should")
    return EQUAL if all(equal) else DIFFERENT


def why_unreachable() -> str | None:
    """Return why the Hub is unreachable; None if it answers."""
    try:
        HfApi().model_info(PHOTO_REPO, timeout=PATIENCE)
    except Exception as error:  # the HTTP client's errors differ between releases
        return " ".join(str(error).split()) or type(error).__name__
    return None


def check(known: KnownValues, photo: Path) -> bool:
    """Compare one model with its known values and print the outcome."""
    ious = predicted_ious(RELEASED[known.name].hub_id, photo)
    error = max(abs(found - value) for found, value in zip(ious, known.ious, strict=True))
    verdict = "equal" if error <= TOLERANCE else "DIFFERENT"
    numbers = " ".join(f"{value:.4f}" for value in ious)
    wanted = " ".join(f"{value:.4f}" for value in known.ious)
    say(f"{known.name:24} {verdict:10} predicts {numbers}, known {wanted}")
    return error <= TOLERANCE


def predicted_ious(source: str, photo: Path) -> list[float]:
    """Click on the photo and return the predicted IoUs of the three masks.

    Args:
        source: Hub id or folder of the model.
        photo: The picture.
    """
    model = Sam2Model.from_pretrained(source)
    processor = Sam2Processor.from_pretrained(source)
    with Image.open(photo) as picture:
        inputs = processor(
            images=picture.convert("RGB"),
            input_points=[[[list(CLICK)]]],
            input_labels=[[[1]]],
            return_tensors="pt",
        )
    inputs.pop("original_sizes")
    with torch.inference_mode():
        ious: list[float] = model(**inputs).iou_scores.flatten().tolist()
    return ious


if __name__ == "__main__":
    sys.exit(run(main))
