"""Options of the commands. Nothing here imports torch, so that help is instant."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sam2_hf import __version__
from sam2_hf.cli.labeling.label_options import add_label_options
from sam2_hf.errors import nearest_hint
from sam2_hf.interruption import FAILED
from sam2_hf.results.formats import (
    PHOTO_DEFAULTS,
    PHOTO_FORMATS,
    VIDEO_DEFAULTS,
    VIDEO_FORMATS,
)

from .argument_types import (
    add_memory_policy,
    add_value_range,
    box,
    count,
    device,
    point,
    video_box,
    video_click,
    video_mask,
    video_reference,
    whole_number,
)
from .help_texts import (
    COMPARE_EXAMPLES,
    COMPLETION_HELP,
    CONVERT_EXAMPLES,
    DOCTOR_HELP,
    EVERYTHING_EXAMPLES,
    EXAMPLES,
    EXPORT_EXAMPLES,
    LABEL_EXAMPLES,
    SEGMENT_EXAMPLES,
    SPACE_HELP,
    TRACK_EXAMPLES,
)
from .name_options import add_detect_every, add_labels, add_text
from .save_options import add_names, add_save, add_save_of_either
from .search_options import add_mask_options, add_video_options

PROGRAM = "sam2-hf"
COMMANDS = (
    *("segment", "everything", "track", "compare", "label", "convert", "export", "space"),
    *("doctor", "completion"),
)
LISTS = ("photos", "videos")  # positional arguments that may stand between options
SYNONYMS = {"--point": "--click", "--click": "--point", "--output": "--out"}
DIRECTIONS = ("both", "forward", "backward")
DEFAULT_FOLDER = Path("sam2_out")
DTYPES = ("float32", "bfloat16", "float16")
GRAPH_DTYPES = ("float32", "float16", "int8", "int8-weights", "int4-weights")
SHELLS = ("bash", "zsh", "fish")
MODELS = (
    *(f"facebook/sam2.1-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")),
    "sam2-hiera-micro",
)  # what completion offers

Commands = Any  # what argparse's add_subparsers returns, which has no public type


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line long, and which takes `-10,5` for numbers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # as in Python 3.14

    def error(self, message: str) -> NoReturn:
        """Exit with the message and a hint."""
        self.exit(FAILED, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command line.

    Photos may stand before, between and after options.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The options of a command, its name as `command`. For `space`, `rest` holds its arguments.

    Raises:
        SystemExit: The usage is wrong; a line on stderr says how.
    """
    whole = build_parser()
    words = [text for text in (sys.argv[1:] if argv is None else argv) if not text.startswith("-")]
    if words and words[0] not in COMMANDS:
        whole.error(f"there is no command {words[0]!r}. {nearest_hint(words[0], COMMANDS)}")
    arguments, rest = whole.parse_known_args(argv)
    arguments.rest = rest
    if arguments.command == "space":
        return arguments
    parser: OneLineParser = arguments.parser
    unknown = next((text for text in rest if text.startswith("-") and text != "-"), None)
    if unknown is not None:
        name = unknown.partition("=")[0]
        known = [option for option in parser._option_string_actions if option.startswith("--")]
        near = SYNONYMS.get(name)
        hint = f"Did you mean {near}?" if near in known else nearest_hint(name, known)
        parser.error(f"there is no option {name}. {hint}")
    taking = next((name for name in LISTS if hasattr(arguments, name)), None)
    if rest and taking is None:
        parser.error(f"{rest[0]!r} is an unexpected argument")
    if taking is not None:
        setattr(arguments, taking, [*getattr(arguments, taking), *rest])
    return arguments


def build_parser() -> OneLineParser:
    """Build the parser of the command line."""
    parser = OneLineParser(
        prog=PROGRAM,
        description="SAM 2: segment objects in photos and track them through videos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_segment(commands)
    _add_everything(commands)
    _add_track(commands)
    _add_compare(commands)
    _add_label(commands)
    _add_convert(commands)
    _add_export(commands)
    _add_space(commands)
    _add_doctor(commands)
    _add_completion(commands)
    return parser


def _add_command(
    commands: Commands, name: str, short: str, description: str, epilog: str
) -> OneLineParser:
    parser: OneLineParser = commands.add_parser(
        name,
        help=short,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    return parser


def _add_segment(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "segment",
        "segment the object you point at in a photo",
        "Segment the object you point at with clicks or a box, in one photo or in many.",
        SEGMENT_EXAMPLES,
    )
    _add_photos(parser)
    parser.add_argument(
        "--point",
        dest="points",
        metavar="X,Y[,-]",
        action="append",
        default=[],
        type=point,
        help="a point on the object, or with ,- a point outside it; may be repeated",
    )
    parser.add_argument(
        "--box",
        dest="boxes",
        metavar="X0,Y0,X1,Y1",
        action="append",
        default=[],
        type=box,
        help="a box around the object: its left, top, right and bottom edge; several boxes, "
        "without points, mean several objects",
    )
    add_text(parser)
    parser.add_argument("--all", action="store_true", help="write all masks, not just the best")
    add_save(parser, PHOTO_FORMATS, PHOTO_DEFAULTS)
    add_names(parser)
    add_value_range(parser)
    _add_common(parser)


def _add_everything(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "everything",
        "segment every object in a photo or a video",
        "Segment every object, in one photo or in many; or find and track every object in a video.",
        EVERYTHING_EXAMPLES,
    )
    _add_photos(parser)
    add_labels(parser)
    add_save_of_either(parser)
    add_value_range(parser)
    _add_common(parser)
    add_mask_options(parser)
    add_video_options(parser)


def _add_track(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "track",
        "track objects through a video",
        "Track the objects you point at with clicks, boxes or masks through a video.",
        TRACK_EXAMPLES,
    )
    _add_track_options(parser)
    _add_common(parser)


def _add_track_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "video",
        metavar="VIDEO",
        nargs="?",
        help="video file, folder of pictures, http(s) URL, or - for a video from stdin",
    )
    parser.add_argument("--camera", metavar="N", type=whole_number, help="track live from camera N")
    add_value_range(parser)
    _add_prompts(parser)
    selection = parser.add_argument_group("tracking")
    selection.add_argument(
        "--direction",
        choices=DIRECTIONS,
        default=DIRECTIONS[0],
        help="which way to track from the first frame with a prompt (default: both)",
    )
    selection.add_argument(
        "--start",
        metavar="FRAME",
        type=whole_number,
        help="start at this frame (default: the first with a prompt)",
    )
    selection.add_argument(
        "--limit",
        metavar="N",
        type=count,
        help="track at most N frames in each direction (default: all)",
    )
    add_memory_policy(selection)
    results = parser.add_argument_group("results")
    add_save(results, VIDEO_FORMATS, VIDEO_DEFAULTS, "--outputs")
    add_names(results)
    results.add_argument(
        "--no-overlap", action="store_true", help="assign each pixel to at most one object"
    )
    results.add_argument(
        "--resume", action="store_true", help="continue an interrupted run of the same command"
    )


def _add_prompts(parser: argparse.ArgumentParser) -> None:
    prompts = parser.add_argument_group("prompts; each may be repeated")
    prompts.add_argument(
        "--click",
        dest="clicks",
        metavar="FRAME:OBJECT:X,Y[,-]",
        action="append",
        default=[],
        type=video_click,
        help="a point on an object, or with ,- a point outside it",
    )
    prompts.add_argument(
        "--box",
        dest="boxes",
        metavar="FRAME:OBJECT:X0,Y0,X1,Y1",
        action="append",
        default=[],
        type=video_box,
        help="a box around an object: its left, top, right and bottom edge",
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
    prompts.add_argument(
        "--reference",
        dest="references",
        metavar="PICTURE:MASK:OBJECT",
        action="append",
        default=[],
        type=video_reference,
        help="another picture of an object, and its mask there; the object needs no other prompt",
    )
    names = parser.add_argument_group("or names")
    add_text(names)
    add_detect_every(names)


def _add_compare(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "compare",
        "compare two runs of track: which frames a correction changed",
        "Compare the masks of two runs on one video: frames that differ, and their IoU.",
        COMPARE_EXAMPLES,
    )
    for name, metavar in (("before", "RUN_A"), ("after", "RUN_B")):
        parser.add_argument(
            name,
            metavar=metavar,
            type=Path,
            help="folder of results, a file STEM_masklets.json, or a folder of label PNGs",
        )
    parser.add_argument(
        "--picture", metavar="FILE", type=Path, help="draw the frames that differ most to this file"
    )
    parser.add_argument("--video", metavar="VIDEO", help="the video, to draw over (default: gray)")
    _add_output_options(parser)


def _add_label(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "label",
        "label a folder of videos, with review: the data engine",
        "Label many videos: masklets, quality scores, a review queue, and a data set of what is "
        "accepted. Run again, the same command continues.",
        LABEL_EXAMPLES,
    )
    add_label_options(parser)
    _add_common(parser)


def _add_convert(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "convert",
        "convert an original .pt checkpoint to a Hub folder, or back",
        "Convert an original .pt checkpoint to a folder in the Hub's format, or back.",
        CONVERT_EXAMPLES,
    )
    parser.add_argument(
        "source", metavar="IN", type=Path, help=".pt file, or a Hub folder or id to convert back"
    )
    parser.add_argument(
        "target", metavar="OUT", type=Path, help="folder to write, or .pt file when converting back"
    )
    _add_output_options(parser)


def _add_export(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "export",
        "export a model for other runtimes, or check an export",
        "Export a model for other runtimes, or check an export against its model.",
        EXPORT_EXAMPLES,
    )
    parser.add_argument(
        "model", metavar="MODEL", help="Hub id, folder or .pt file; or the word check"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="folder to write, or to check")
    parser.add_argument(
        "--format",
        default="onnx",
        metavar="KIND",
        help="format to write: onnx, openvino, or for photos only torch-export, aotinductor, "
        "torchscript, executorch (default: onnx)",
    )
    parser.add_argument(
        "--dtype",
        choices=GRAPH_DTYPES,
        default=GRAPH_DTYPES[0],
        help="how weights are stored; int8 also computes in 8 bits (default: float32)",
    )
    parser.add_argument(
        "--fixed",
        action="store_true",
        help="fixed shapes, one object at a time: for phones and TensorRT",
    )
    parser.add_argument(
        "--image-size",
        metavar="N",
        type=count,
        help="side of the input, a multiple of 32 (SAM 3's tracker: of 14); default: the model's",
    )
    parser.add_argument(
        "--reference",
        metavar="ID_OR_PATH",
        help="with check: the model to compare with (default: the one the graphs name)",
    )
    parser.add_argument(
        "--push-to-hub", metavar="NAME", help="upload the folder to this repo, with a model card"
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="if the repo does not exist yet, create a private one",
    )
    _add_output_options(parser)


def _add_space(commands: Commands) -> None:
    parser = commands.add_parser(
        "space",
        help="serve the web page (from a checkout)",
        add_help=False,  # `sam2-hf space --help` is answered by the page's program
        description=SPACE_HELP,
    )
    parser.set_defaults(parser=parser)


def _add_doctor(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "doctor",
        "check this installation: versions, devices, speed, models",
        "Check this installation, and list what to install.",
        DOCTOR_HELP,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_completion(commands: Commands) -> None:
    parser = _add_command(
        commands,
        "completion",
        "print the line that enables completion in your shell",
        "Print the line that enables completion in your shell.",
        COMPLETION_HELP,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "photos",
        metavar="PHOTO",
        nargs="*",
        help="picture file, folder of pictures, pattern such as '*.jpg', http(s) URL, or - for "
        "a picture from stdin",
    )
    parser.add_argument(
        "--from-file",
        metavar="LIST",
        help="take more photos from a text file, one per line; - reads the lines from stdin",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=DEFAULT_FOLDER,
        help=f"folder for the results, created if missing (default: {DEFAULT_FOLDER})",
    )
    _add_output_options(parser)
    group = parser.add_argument_group("model")
    model = group.add_argument(
        "--model",
        metavar="ID_OR_PATH",
        help="Hub id, folder or .pt file (default: facebook/sam2.1-hiera-tiny, downloaded once); "
        "sam2-hiera-micro needs no network (pip install 'sam2-hf[micro]')",
    )
    model.completer = lambda **_: MODELS  # type: ignore[attr-defined]  # argcomplete reads it
    group.add_argument(
        "--device", type=device, help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)"
    )
    group.add_argument(
        "--dtype",
        choices=(*DTYPES, "int8"),
        help="data type of the weights (default: float32); int8 is approximate, and faster on CPUs",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object instead of text: files, masks, errors, seconds",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
