"""Options of the commands. Nothing here imports torch, so that help is instant."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from sam2_hf import __version__
from sam2_hf.interruption import FAILED

from .argument_types import (
    OUTPUTS,
    add_value_range,
    box,
    count,
    outputs,
    point,
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
object, on any number of frames. X grows to the right and Y downward, in pixels of the
video. A click that ends in ,- is beside the object. A mask is a picture of the video's size whose
bright part is the object; in a palette PNG with several labels it is the label OBJECT.

Ctrl-C keeps finished frames; the same command with --resume continues, also after a crash."""


def add_track_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `track`."""
    parser.add_argument("video", metavar="VIDEO", nargs="?", help="video file or folder of images")
    parser.add_argument(
        "--camera", metavar="N", type=whole_number, help="track a camera's pictures instead"
    )
    add_value_range(parser)
    _add_prompts(parser)
    selection = parser.add_argument_group("which frames")
    selection.add_argument(
        "--direction",
        choices=DIRECTIONS,
        default=DIRECTIONS[0],
        help="direction from the first prompted frame (both)",
    )
    selection.add_argument(
        "--start", metavar="FRAME", type=whole_number, help="begin here instead (first prompt)"
    )
    selection.add_argument(
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
        "--no-overlap", action="store_true", help="assign each pixel to one object at most"
    )
    results.add_argument(
        "--resume", action="store_true", help="continue an interrupted run of the same command"
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


Commands = Any  # what argparse's add_subparsers returns, which has no public type

DEFAULT_FOLDER = Path("sam2_out")
DTYPES = ("float32", "bfloat16", "float16")

SEGMENT_EXAMPLES = """\
examples:
  sam2-hf segment cup.jpg --point 290,225
  sam2-hf segment cup.jpg --point 290,225 --point 400,60,- --out masks
  sam2-hf segment cup.jpg --box 170,20,420,350 --model facebook/sam2.1-hiera-large

X grows to the right and Y downward, in pixels of the photo. A point that ends in ,- is beside
the object. One click may mean a part or the whole, so three masks are made; the best one is
written, or all with --all. More prompts say what is meant: then there is one mask."""

EVERYTHING_EXAMPLES = """\
examples:
  sam2-hf everything street.jpg
  sam2-hf everything holiday/*.jpg --out masks --points-per-side 16
  sam2-hf everything scan.png --crop-n-layers 1 --device cuda --dtype bfloat16

Ctrl-C stops; photos that are finished stay in the folder."""

GRAPH_DTYPES = ("float32", "float16", "int8", "int8-weights", "int4-weights")

EXPORT_EXAMPLES = """\
examples:
  sam2-hf export facebook/sam2.1-hiera-tiny ./tiny-onnx
  sam2-hf export sam2-hiera-micro ./micro-onnx --dtype int8
  sam2-hf export sam2-hiera-micro ./micro-openvino --format openvino
  sam2-hf export sam2-hiera-micro ./micro-phone --fixed --dtype float16
  sam2-hf export sam2-hiera-micro ./micro-package --format aotinductor
  sam2-hf export check ./micro-onnx
  sam2-hf track cup.mp4 --model ./micro-onnx --click 0:1:290,225

OUT becomes a folder of graphs for ONNX Runtime, with numpy_runner.py, which needs only numpy,
Pillow and onnxruntime; or of graphs for OpenVINO. Every command takes the folder as --model. The
check prints how far the graphs are from the model on a picture and a clip, and both speeds."""

EXAMPLES = """\
examples:
  sam2-hf segment cup.jpg --point 290,225             one object, clicked on
  sam2-hf everything street.jpg --out masks           all objects
  sam2-hf track cup.mp4 --click 0:1:290,225           one object through a video
  sam2-hf convert sam2.1_hiera_tiny.pt ./sam2.1-tiny  an original checkpoint, for the Hub
  sam2-hf export sam2-hiera-micro ./micro-onnx        a model as ONNX graphs

`sam2-hf COMMAND --help` shows the options of a command."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line long."""

    def error(self, message: str) -> NoReturn:
        """Exit with the message and a hint."""
        self.exit(FAILED, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = OneLineParser(
        prog="sam2-hf",
        description="SAM 2: cut objects out of photos and videos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sam2-hf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_segment(commands)
    _add_everything(commands)
    _add_track(commands)
    _add_convert(commands)
    _add_export(commands)
    return parser


def _add_segment(commands: Commands) -> None:
    parser = commands.add_parser(
        "segment",
        help="segment the object that clicks or a box point at",
        description="Segment the object that clicks or a box point at.",
        epilog=SEGMENT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photo", metavar="PHOTO", help="picture file")
    parser.add_argument(
        "--point",
        dest="points",
        metavar="X,Y[,-]",
        action="append",
        default=[],
        type=point,
        help="a point on the object, or with ,- beside it; may be repeated",
    )
    parser.add_argument(
        "--box",
        dest="boxes",
        metavar="X0,Y0,X1,Y1",
        action="append",
        default=[],
        type=box,
        help="a box around the object; several boxes, without points, mean several objects",
    )
    parser.add_argument("--all", action="store_true", help="write every mask, not only the best")
    add_value_range(parser)
    _add_common(parser)


def _add_everything(commands: Commands) -> None:
    parser = commands.add_parser(
        "everything",
        help="segment all objects of one or several photos",
        description="Segment all objects of one or several photos.",
        epilog=EVERYTHING_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", metavar="PHOTO", nargs="+", help="picture files")
    add_value_range(parser)
    _add_common(parser)
    search = parser.add_argument_group("which masks")
    numbers = {
        "--points-per-side": (int, "clicks along each side of the photo (32)"),
        "--points-per-batch": (int, "clicks decoded at once; fewer need less memory (64)"),
        "--pred-iou-thresh": (float, "minimum predicted quality of a mask, 0-1 (0.8)"),
        "--stability-score-thresh": (float, "minimum stability of a mask, 0-1 (0.95)"),
        "--box-nms-thresh": (float, "overlap of boxes above which masks are duplicates, 0-1 (0.7)"),
        "--crop-n-layers": (int, "layers of crops besides the photo, for small objects (0)"),
        "--min-mask-region-area": (int, "remove holes and speckles up to this size (0)"),
    }
    for name, (kind, text) in numbers.items():
        metavar = "N" if kind is int else "X"
        search.add_argument(name, type=kind, metavar=metavar, default=argparse.SUPPRESS, help=text)
    search.add_argument(
        "--use-m2m",
        action="store_true",
        default=argparse.SUPPRESS,
        help="decode every mask again with itself as a prompt",
    )


def _add_track(commands: Commands) -> None:
    parser = commands.add_parser(
        "track",
        help="follow objects through a video",
        description="Follow the objects that clicks, boxes or masks point at through a video.",
        epilog=TRACK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_track_options(parser)
    _add_common(parser)


def _add_convert(commands: Commands) -> None:
    parser = commands.add_parser(
        "convert",
        help="convert an original .pt checkpoint to a Hub folder",
        description="Convert an original .pt checkpoint to a folder in the Hub's format.",
        epilog="example:\n  sam2-hf convert sam2.1_hiera_tiny.pt ./sam2.1-tiny",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="IN", type=Path, help="the .pt file, or a folder to convert back"
    )
    parser.add_argument(
        "target", metavar="OUT", type=Path, help="the folder to write, or a .pt file"
    )


def _add_export(commands: Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="export a model as graphs, or check an export",
        description="Export a model as graphs, or check an export against its model.",
        epilog=EXPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="Hub id, folder or .pt file; or check")
    parser.add_argument("target", metavar="OUT", type=Path, help="the folder to write, or to check")
    parser.add_argument(
        "--format",
        default="onnx",
        metavar="KIND",
        help="what to write: onnx, openvino, or for photos alone torch-export, aotinductor, "
        "torchscript, executorch (onnx)",
    )
    parser.add_argument(
        "--dtype",
        choices=GRAPH_DTYPES,
        default=GRAPH_DTYPES[0],
        help="how weights are stored; int8 computes in 8 bits, too (float32)",
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
        help="side of the model's input in pixels, a multiple of 32 (the model's own)",
    )
    parser.add_argument(
        "--reference",
        metavar="ID_OR_PATH",
        help="with check: the model that was exported (what the graphs name)",
    )
    parser.add_argument(
        "--push-to-hub", metavar="NAME", help="upload the folder to this repo, with a model card"
    )
    parser.add_argument(
        "--private", action="store_true", help="a repo that is created is visible to you alone"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=DEFAULT_FOLDER,
        help=f"folder for the results, created if missing ({DEFAULT_FOLDER})",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        metavar="ID_OR_PATH",
        help="Hub id, folder or .pt file (facebook/sam2.1-hiera-tiny, from the Hub or its cache); "
        "sam2-hiera-micro comes with sam2-hf and needs no network",
    )
    model.add_argument("--device", help="cpu, cuda, cuda:1, mps ... (a GPU if available)")
    model.add_argument("--dtype", choices=DTYPES, help="type of the weights (float32)")
