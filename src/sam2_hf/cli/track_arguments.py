"""The options of `sam2-hf track`. Nothing here loads torch, so help comes at once."""

import argparse

from .argument_types import (
    OUTPUTS,
    add_value_range,
    count,
    outputs,
    video_box,
    video_click,
    video_mask,
    whole_number,
)

DIRECTIONS = ("both", "forward", "backward")
DEFAULT_OUTPUTS = ("mp4", "png", "json", "csv")

TRACK_EXAMPLES = """\
examples:
  sam2-hf track cup.mp4 --click 0:1:290,225
  sam2-hf track cup.mp4 --click 0:1:290,225 --click 0:1:400,60,- --click 30:2:80,90 --out tracks
  sam2-hf track frames/ --box 0:1:170,20,420,350 --outputs png,json
  sam2-hf track cup.mp4 --mask 0:1:first.png --model facebook/sam2.1-hiera-large --resume
  sam2-hf track --camera 0 --click 0:1:320,240 --limit 300

FRAME counts from 0. OBJECT is a number of your choice; prompts with the same number mean the same
object, on as many frames as you like. X grows to the right and Y downwards, in pixels of the
video. A click that ends in ,- is beside the object. A mask is a picture of the video's size whose
bright part is the object; in a palette PNG with several labels it is the label OBJECT.

Ctrl-C keeps what is done; the same command with --resume goes on there, also after a crash."""


def add_track_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options that no other command has."""
    parser.add_argument("video", metavar="VIDEO", nargs="?", help="video file or folder of images")
    parser.add_argument(
        "--camera", metavar="N", type=whole_number, help="track a camera's pictures instead"
    )
    add_value_range(parser)
    _add_prompts(parser)
    course = parser.add_argument_group("which frames")
    course.add_argument(
        "--direction",
        choices=DIRECTIONS,
        default=DIRECTIONS[0],
        help="where to go from the first prompted frame (both)",
    )
    course.add_argument(
        "--start", metavar="FRAME", type=whole_number, help="begin here instead (first prompt)"
    )
    course.add_argument(
        "--limit", metavar="N", type=count, help="most frames to track in each direction (all)"
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--outputs",
        metavar="KINDS",
        type=outputs,
        default=DEFAULT_OUTPUTS,
        help=f"what to write, of {','.join(OUTPUTS)} ({','.join(DEFAULT_OUTPUTS)}): an overlay, "
        "PNGs of labels, PNGs of each object, run lengths, scores",
    )
    results.add_argument(
        "--no-overlap", action="store_true", help="a pixel belongs to one object at most"
    )
    results.add_argument(
        "--resume", action="store_true", help="go on where the same command was interrupted"
    )


def _add_prompts(parser: argparse.ArgumentParser) -> None:
    prompts = parser.add_argument_group("prompts, each may be repeated")
    prompts.add_argument(
        "--click",
        dest="clicks",
        metavar="FRAME:OBJECT:X,Y[,-]",
        action="append",
        default=[],
        type=video_click,
        help="a point on an object, or with ,- beside it",
    )
    prompts.add_argument(
        "--box",
        dest="boxes",
        metavar="FRAME:OBJECT:X0,Y0,X1,Y1",
        action="append",
        default=[],
        type=video_box,
        help="a box around an object",
    )
    prompts.add_argument(
        "--mask",
        dest="masks",
        metavar="FRAME:OBJECT:FILE",
        action="append",
        default=[],
        type=video_mask,
        help="a picture of an object's mask",
    )
