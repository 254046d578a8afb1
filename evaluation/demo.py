"""The demo of the README: a click on a photo, everything in it, and two objects in a clip.

    python -m evaluation.demo --out demo_out

It runs the command line as a user would, with the smallest released checkpoint where the Hub
answers, or with the bundled model. The photo and the clip are made of scikit-image's free photos.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from skimage import data

from sam2_hf.cli import main as sam2_hf
from sam2_hf.cli.console import say
from sam2_hf.interruption import DONE
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.pipelines.loading import hub_answers, is_cached

from .demo_clip import main as write_clip

RELEASED = "facebook/sam2.1-hiera-tiny"
CUP, CUP_IN_CLIP, CAT_IN_CLIP = "290,225", "0:1:95,238", "0:2:389,119"


def chosen_model(asked: str | None) -> tuple[str, str]:
    """Choose the model of the demo.

    Args:
        asked: The user's choice.

    Returns:
        The model, and why it is this one.
    """
    if asked:
        return asked, "as asked"
    if is_cached(RELEASED):
        return RELEASED, "downloaded before"
    if hub_answers(RELEASED):
        return RELEASED, "from the Hub; the first time it downloads 156 MB"
    return (
        SMALL_MODEL,
        "bundled, since the Hub does not answer; it is far weaker than a released one",
    )


def commands(model: str, out: Path) -> list[list[str]]:
    """List what `sam2-hf` is run with."""
    photo, clip = str(out / "coffee.png"), str(out / "clip.mp4")
    clicks = ("--click", CUP_IN_CLIP, "--click", CAT_IN_CLIP)
    return [
        ["segment", photo, "--model", model, "--point", CUP, "--out", str(out / "segment")],
        ["everything", photo, "--model", model, "--out", str(out / "everything")],
        ["track", clip, "--model", model, *clicks, "--out", str(out / "track")],
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Make the photo and the clip, and run the commands; exit code of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model to use instead of the one that is chosen")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder to write to")
    arguments = parser.parse_args(argv)
    out: Path = arguments.out
    model, reason = chosen_model(arguments.model)
    say(f"model: {model} ({reason})")
    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.coffee()).save(out / "coffee.png")
    write_clip([str(out / "clip.mp4")])
    for command in commands(model, out):
        say(f"\n$ sam2-hf {shlex.join(command)}")
        status = sam2_hf(command)
        if status != DONE:
            return status
    say(
        f"\nThe photo is {out / 'coffee.png'} (scikit-image's coffee cup, CC0); the clip is made of"
    )
    say("four of its free photos. The results:")
    for folder in ("segment", "everything", "track"):
        for path in sorted((out / folder).iterdir()):
            say(f"  {path}")
    return DONE


if __name__ == "__main__":
    raise SystemExit(main())
