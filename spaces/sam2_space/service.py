"""Shared parts of the server: model, limits, files, and visitors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sam2_space.review.review_work import ReviewDesk

from .file_places import FilePlaces
from .limits import LimitError, Limits
from .private_files import COOKIE, NEW, own_file
from .space_model import SpaceModel
from .uploads import Upload
from .visitors import Visitor, Visitors

CLICKS, JOBS = "clicks", "jobs"  # queues: short and long requests
CLICKS_AT_A_TIME = 12  # they share the model


def click_event(outputs: Any, busy: Any) -> dict[str, Any]:  # noqa: ANN401 - components of a page
    """Return the options of an event that is answered like a click.

    Args:
        outputs: The components it may update.
        busy: Those that show that it is being answered.
    """
    return {
        "outputs": outputs,
        "api_visibility": "private",
        "concurrency_id": CLICKS,
        "concurrency_limit": CLICKS_AT_A_TIME,
        "show_progress": "minimal",
        "show_progress_on": busy,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The server's parts.

    Attributes:
        model: The shared model.
        limits: Limits of visits.
        places: Folders of files.
        visitors: Current visits.
        desk: The set to review; None if there is none.
    """

    model: SpaceModel
    limits: Limits
    places: FilePlaces
    visitors: Visitors
    desk: ReviewDesk | None = None

    def visitor(self, request: gr.Request) -> Visitor:
        """Return the visit of a request.

        Raises:
            LimitError: There are too many visits.
            PermissionError: The request has no identity.
        """
        return self.visitors.of(*who(request))

    def own(self, upload: Upload, request: gr.Request, *, samples: bool) -> Path:
        """Return the path of a browser's own upload.

        Args:
            upload: The claimed upload.
            request: The browser's request.
            samples: Whether samples are allowed; not if the file will be moved or deleted.

        Raises:
            PermissionError: It belongs to another visitor.
        """
        return own_file(self.places, upload.path, who(request)[0], samples=samples)

    def went_away(self, request: gr.Request) -> None:
        """Record that a page was closed or disconnected."""
        self.visitors.went_away(*who(request))

    def nothing_here(self, thing: str, request: gr.Request) -> LimitError:
        """Explain why a visit has nothing to work on.

        Args:
            thing: What is missing, such as "photo".
            request: The browser's request.
        """
        if request.cookies.get(NEW):
            return LimitError(
                f"There is no {thing} here, because your browser sent no cookie. "
                "Allow cookies for this page, or open it at its own address, and reload it."
            )
        return LimitError(
            f"There is no {thing} here any more; after {self.limits.idle_minutes:g} "
            f"minutes without a click it is deleted. Press Other {thing} and choose one."
        )

    def is_sample(self, path: Path) -> bool:
        """Whether a file is a sample, which must be kept."""
        return self.places.samples in path.parents


def who(request: gr.Request) -> tuple[str, str]:
    """Return browser and page of a request.

    Raises:
        PermissionError: It has no identity.
    """
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise PermissionError("no cookie")
    return cookie, request.session_hash or ""
