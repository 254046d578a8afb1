"""What a visitor uploads: handed on as it came, since only a check of ours tells what is wrong."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.components.image import ImageData
from gradio.data_classes import FileData


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has come.

    Attributes:
        path: Where it says it is; to be checked.
        name: What the visitor calls it; to be cleaned.
    """

    path: str
    name: str


class PhotoInput(gr.Image):
    """A picture input that does not look into the file; Gradio's own fails without a word."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> Upload | None:  # type: ignore[override]
        """Hand the file on."""
        if payload is None or not payload.path:
            return None
        return Upload(payload.path, payload.orig_name or "")


class VideoInput(gr.Video):
    """A video input that does not look into the file."""

    is_template = True

    def preprocess(self, payload: FileData | None) -> Upload | None:  # type: ignore[override]
        """Hand the file on."""
        if payload is None or not payload.path:
            return None
        return Upload(payload.path, payload.orig_name or "")


def forget(path: Path) -> None:
    """Delete an upload that has been read."""
    path.unlink(missing_ok=True)
