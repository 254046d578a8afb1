"""Program of the Space: read the flags, load the model, serve the page."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import gradio as gr
from transformers.utils import logging

from sam2_hf.errors import Sam2Error
from sam2_hf.interruption import DONE, FAILED
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError

from .limits import Limits
from .server import default_model, serve
from .service import Service

SAMPLES = Path(__file__).parents[1] / "samples"
FLAGS = {
    "file_mb": "size of an uploaded file, millions of bytes",
    "megapixels": "pixels of a photo, millions",
    "seconds": "length of a video",
    "frames": "frames of a video",
    "side": "longer side of a video, pixels",
    "objects": "objects in a photo, video or stream",
    "jobs": "concurrent jobs; more wait in a queue",
    "waiting": "queue length of jobs or clicks",
    "visitors": "concurrent visits",
    "idle_minutes": "lifetime of a visit after the last click",
    "grace_seconds": "lifetime of a visit after its page was closed or disconnected",
}
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False"}


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server.

    Attributes:
        address: Its address, such as `http://127.0.0.1:7860/`.
        service: Its parts.
        page: The page, with its server.
    """

    address: str
    service: Service
    page: gr.Blocks


def build_parser(prog: str = "app.py") -> argparse.ArgumentParser:
    """Build the parser of the command line.

    Args:
        prog: Name of the program in its help.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Serve the Space: segment photos, videos and a webcam in a browser.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--model",
        help=f"Hub id, folder or .pt; without it that of the set to review, else {default_model()}",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; a GPU if available")
    parser.add_argument(
        "--detector",
        default=os.environ.get("DETECTOR") or None,
        help="zero-shot detector of transformers for Find by name, such as "
        "IDEA-Research/grounding-dino-tiny; without one the page does not offer it",
    )
    parser.add_argument("--host", default=None, help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=None, help="port (first free one from 7860)")
    parser.add_argument("--set", dest="set_folder", help="set of sam2-hf label to review")
    limits = parser.add_argument_group("limits, which the page shows")
    for field in fields(Limits):
        limits.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=float if field.name == "idle_minutes" else int,
            default=field.default,
            help=FLAGS[field.name],
        )
    return parser


@contextmanager
def serving(arguments: argparse.Namespace) -> Iterator[Serving]:
    """Serve within the context; all visitors' files are deleted at its end.

    Raises:
        CheckpointError: The model cannot be loaded.
        PromptError: There is no such device.
        DataError: The folder to review is no set.
    """
    logging.disable_progress_bar()  # of loading weights
    root = Path(tempfile.mkdtemp(prefix="sam2-space-")).resolve()
    try:
        # Gradio reads these when a page is built, and stores uploads in this folder.
        os.environ.update(OFFLINE, GRADIO_TEMP_DIR=str(root))
        with serve(arguments, root, SAMPLES) as (address, service, page):
            yield Serving(address, service, page)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main(argv: Sequence[str] | None = None, prog: str = "app.py") -> int:
    """Serve until Ctrl-C or SIGTERM."""
    arguments = build_parser(prog).parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(DONE))  # so that visitors' files are deleted
    try:
        with serving(arguments) as started:
            sys.stdout.write(f"Open {started.address} in a browser; Ctrl-C ends.\n")
            sys.stdout.flush()
            threading.Event().wait()
    except KeyboardInterrupt:
        return DONE
    except (Sam2Error, CheckpointError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return FAILED
    return DONE
