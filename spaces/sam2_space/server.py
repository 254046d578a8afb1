"""Server: model, page, and the middleware that isolates visitors."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_space.review.review_work import ReviewDesk
from sam2_space.widgets.components import css, script, theme

from .file_places import FilePlaces
from .limits import Limits
from .page import build_page
from .private_files import PrivateFiles
from .request_timeouts import limit_slow_requests
from .returned_memory import limit_arenas
from .service import Service
from .space_model import SpaceModel
from .uploads import UploadQuota
from .visitors import Visitors

CLEAN_EVERY = 600  # seconds between cleanups of Gradio's own files
# Gradio deletes served files by age; files of a visit must outlive it.
CLEAN_OLDER = 7 * 24 * 3600

SESSIONS_KEPT = 500  # Gradio keeps component settings for each


@contextmanager
def serve(
    arguments: argparse.Namespace, root: Path, samples: Path
) -> Iterator[tuple[str, Service, gr.Blocks]]:
    """Serve within the context.

    Args:
        arguments: See `build_parser`.
        root: Folder for the files of visitors.
        samples: Folder of photos and videos to try.

    Yields:
        The address, the server's parts, and the page.
    """
    limit_arenas()
    limits = Limits(**{field.name: getattr(arguments, field.name) for field in fields(Limits)})
    places = FilePlaces(root)
    shown_samples = places.add_samples(samples)
    visitors = Visitors(places, limits)
    model, desk = load_model_and_desk(arguments)
    service = Service(model, limits, places, visitors, desk)
    page = build_page(service, shown_samples)
    layer = Middleware(
        PrivateFiles,
        places=places,
        quota=UploadQuota(places, limits.file_mb),
        came_back=visitors.came_back,
    )
    page.delete_cache = (CLEAN_EVERY, CLEAN_OLDER)
    _, address, _ = page.launch(
        server_name=arguments.host,
        server_port=arguments.port,
        prevent_thread_lock=True,
        quiet=True,
        theme=theme(),
        css=css(),
        head=script(),
        max_file_size=f"{limits.file_mb}mb",
        max_threads=40,
        state_session_capacity=SESSIONS_KEPT,
        ssr_mode=False,
        run_history=False,
        footer_links=["api", "settings"],
        enable_monitoring=False,
        app_kwargs={"middleware": [layer]},
    )
    limit_slow_requests(page.server)
    visitors.keep_clean()
    try:
        yield address, service, page
    finally:
        page.close(verbose=False)
        visitors.close()


def load_model_and_desk(arguments: argparse.Namespace) -> tuple[SpaceModel, ReviewDesk | None]:
    """Load the model; with a set to review it is the set's, of the same data type.

    Args:
        arguments: See `build_parser`.

    Returns:
        The model, and the desk of the set; None if there is no set.

    Raises:
        CheckpointError: The model cannot be loaded.
        DataError: The folder is no set, or the set was made with other weights.
    """
    own, device, detector = arguments.model, arguments.device, arguments.detector
    if arguments.set_folder is None:
        return SpaceModel.load(own or default_model(), device, detector), None
    folder = SetFolder(arguments.set_folder)
    folder.require()
    settings = folder.settings()
    model = SpaceModel.load(own or settings.model, device, detector, dtype=settings.dtype)
    return model, ReviewDesk(folder, model)


def default_model() -> str:
    """Return the model of the variable `MODEL`, or the bundled one."""
    return os.environ.get("MODEL") or SMALL_MODEL
