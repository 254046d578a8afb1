"""The pictures that open the README: a click, everything-mode, and a tracked clip.

    python -m evaluation.showcase --model facebook/sam2.1-hiera-large --readme README.md

One click for each object and no corrections, so that the pictures show what a first try gives. The
photos and the clip are those of scikit-image that are in the public domain or CC0.

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import argparse
import os
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from skimage import data

from sam2_hf import (
    Click,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    ObjectPrompt,
    VideoPrompt,
    VideoSegmentationPipeline,
)
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError
from sam2_hf.overlay import POSITIVE
from sam2_hf.pipelines.image_prompts import PromptParts
from sam2_hf.pipelines.loading import load_image_processor, load_model, load_video_model
from sam2_hf.results.pictures import write_picture

from .demo_clip import CAT, CUP, main as write_clip
from .exit_status import exit_status

RELEASED = "facebook/sam2.1-hiera-large"
CLICK, EVERYTHING, TRACK = "click.jpg", "everything.jpg", "track.gif"
ON_THE_CUP, ON_THE_SPOON = (290, 225), (365, 285)  # pixels of the photo
IN_THE_CLIP = {CUP: (95, 238), CAT: (389, 119)}  # pixels of the first frame
NAMES = {CUP: "cup", CAT: "cat"}

EVERY = 2  # frames of the clip that one of the GIF stands for
FRAME_MS, FIRST_MS, LAST_MS = 80, 1000, 1000  # the first frame shows the clicks
COLORS = 255  # of the GIF's palette, besides that of clicks

BEGIN, END = "<!-- showcase", "<!-- /showcase -->"
HEIGHT = 190  # pixels; the three fit into a line of GitHub's page
BLOCK = (  # one line, as long as the sentence it replaces: the README has a maximum length
    '<p align="center">{pictures}<br><em>One click per object, everything in a photo, '
    "and two clicks tracked through a clip. Made with {model}.</em></p>\n"
)
ALTERNATIVES = {
    CLICK: "A cup and a spoon, each segmented from one click",
    EVERYTHING: "Everything in a photo",
    TRACK: "A cup and a cat tracked behind a pillar and past each other",
}


def make_pictures(model: str, folder: Path) -> list[Path]:
    """Segment, and write the pictures.

    Args:
        model: Hub id, folder or `.pt` file.
        folder: Output folder.

    Returns:
        The files.

    Raises:
        CheckpointError: There is no such model, or the Hub does not answer.
    """
    image_model, processor = load_model(model), load_image_processor(model)
    segment = ImageSegmentationPipeline(image_model, processor)
    folder.mkdir(parents=True, exist_ok=True)
    clicks = {"cup": ON_THE_CUP, "spoon": ON_THE_SPOON}
    objects: dict[Hashable, ObjectPrompt | PromptParts] = {
        name: ObjectPrompt(clicks=(Click(xy),)) for name, xy in clicks.items()
    }
    found = segment(Image.fromarray(data.coffee()), objects)
    written = [write_picture(folder / CLICK, found.plot())]

    generate = MaskGenerationPipeline(image_model, processor)
    everything = generate(Image.fromarray(data.astronaut()))
    written.append(write_picture(folder / EVERYTHING, everything.plot()))
    return [*written, write_gif(tracked_frames(model), folder / TRACK)]


def tracked_frames(model: str) -> list[Image.Image]:
    """Track the demo clip; return every second frame with its masks."""
    track = VideoSegmentationPipeline(load_video_model(model))
    prompts = [
        VideoPrompt(frame=0, object_id=number, clicks=xy, name=NAMES[number])
        for number, xy in IN_THE_CLIP.items()
    ]
    with TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip([str(clip)])
        with track(clip, prompts) as found:
            return [found.plot(frame) for frame in found.frames[::EVERY]]


def write_gif(frames: Sequence[Image.Image], path: Path) -> Path:
    """Write an animation that loops.

    Frames share a palette and are not dithered, so that only what moves is stored again.

    Args:
        frames: The frames; the first and the last stay for a second.
        path: The file.
    """
    width, height = frames[0].size
    sheet = Image.new("RGB", (width, 3 * height))
    for place, frame in enumerate((frames[0], frames[len(frames) // 2], frames[-1])):
        sheet.paste(frame, (0, place * height))
    palette = Image.new("P", (1, 1))  # the marks of clicks are too small to get a color of it
    table = sheet.quantize(COLORS).getpalette() or []
    palette.putpalette([*table[: 3 * COLORS], *POSITIVE])
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [FIRST_MS, *[FRAME_MS] * (len(frames) - 2), LAST_MS]
    first.save(path, save_all=True, append_images=others, duration=times, loop=0)
    return path


def put_into(readme: Path, pictures: Sequence[Path], model: str) -> None:
    """Put the pictures between the two comments of a page.

    Args:
        readme: The page.
        pictures: The pictures.
        model: What made them.

    Raises:
        DataError: The page has no such comments.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    comment, newline, rest = rest.partition("\n")
    _, end, after = rest.partition(END)
    if not (begin and newline and end):
        raise DataError(
            f"{readme} has no lines {BEGIN} ... --> and {END}. Put both where the pictures go."
        )
    tags = [
        f'<img src="{Path(os.path.relpath(path, readme.parent)).as_posix()}" height="{HEIGHT}" '
        f'alt="{ALTERNATIVES[path.name]}">'
        for path in pictures
    ]
    name = f"<code>{model}</code>"
    block = BLOCK.format(pictures=" ".join(tags), model=name)
    page = f"{before}{begin}{comment}\n{block}{end}{after}"
    write_atomically(readme, page.encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.showcase", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", default=RELEASED, help=f"Hub id, folder or .pt ({RELEASED})")
    parser.add_argument("--out", type=Path, default=Path("showcase"), help="output folder")
    parser.add_argument("--readme", type=Path, help="page to put the pictures into")
    options = parser.parse_args(argv)

    def work() -> None:
        written = make_pictures(options.model, options.out)
        if options.readme:
            put_into(options.readme, written, options.model)
        sys.stdout.writelines(f"{path}\n" for path in written)

    return exit_status(work, "run it again")


if __name__ == "__main__":
    sys.exit(main())
