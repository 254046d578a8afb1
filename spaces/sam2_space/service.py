"""What every tab needs: the model, the limits, the files, and who is asking."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from .file_places import FilePlaces
from .limits import Limits
from .private_files import COOKIE, own_file
from .space_model import SpaceModel
from .uploads import Upload
from .visitors import Visitor, Visitors

CLICKS, JOBS = "clicks", "jobs"  # queues: what is answered at once, and what takes a while
CLICKS_AT_A_TIME = 12  # they take turns at the model


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The server's parts.

    Attributes:
        model: What all visitors share.
        limits: What they may ask for.
        places: Where files lie.
        visitors: Who is here.
    """

    model: SpaceModel
    limits: Limits
    places: FilePlaces
    visitors: Visitors

    def visitor(self, request: gr.Request) -> Visitor:
        """Find the visit that a request belongs to.

        Raises:
            LimitError: There are too many visits.
            PermissionError: The request does not tell who it is.
        """
        return self.visitors.of(*who(request))

    def own(self, upload: Upload, request: gr.Request) -> Path:
        """Find a file that came from the same browser, or a sample.

        Raises:
            PermissionError: It is of somebody else.
        """
        return own_file(self.places, upload.path, who(request)[0])

    def leave(self, request: gr.Request) -> None:
        """End the visit of a page that has been closed."""
        self.visitors.leave(*who(request))

    def is_sample(self, path: Path) -> bool:
        """Whether a file is a sample, which stays."""
        return self.places.samples in path.parents


def who(request: gr.Request) -> tuple[str, str]:
    """Tell browser and page of a request.

    Raises:
        PermissionError: It does not say.
    """
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise PermissionError("no cookie")
    return cookie, request.session_hash or ""
