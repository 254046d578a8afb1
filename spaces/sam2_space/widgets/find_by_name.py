"""Find by name: a detector's boxes become objects of a photo or a video, with their names."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from sam2_hf.errors import PromptError
from sam2_hf.open_vocabulary.labels import read_labels
from sam2_space.limits import Limits
from sam2_space.photo_work import PhotoWork
from sam2_space.space_model import Found, SpaceModel
from sam2_space.video_work import VideoWork


class NameBox:
    """The text box and its button.

    Args:
        tab: Name of the tab.
    """

    def __init__(self, tab: str) -> None:
        with gr.Row():
            self.text = gr.Textbox(
                label="Find by name",
                placeholder="a dog, a cat",
                max_lines=1,
                scale=3,
                elem_id=f"{tab}-names",
            )
            self.find = gr.Button("Find", size="sm", min_width=70, elem_id=f"{tab}-find")

    def connect(self, handler: Callable[..., Any], more: list[Any], **options: Any) -> None:
        """Call a handler with the text when it is entered.

        Args:
            handler: The handler.
            more: Components whose values it takes as well.
            **options: Of Gradio's listeners.
        """
        for event in (self.text.submit, self.find.click):
            event(handler, [self.text, *more], **options)


def find_in_photo(work: PhotoWork, model: SpaceModel, limits: Limits, text: str) -> None:
    """Add an object to a photo for each thing that is found, as many as are allowed.

    Raises:
        PromptError: There is no name, or nothing is found.
        LimitError: There are too many objects already.
        DetectionError: The detector failed.
    """
    found = _found(model.find(work.picture_hw3, _names(text)), text)
    for detection in found[: max(limits.objects - len(work.scene.answered), 1)]:
        work.add_object((), detection.box)
        work.rename(detection.label, work.scene.active)


def find_in_video(
    work: VideoWork, model: SpaceModel, limits: Limits, frame: int, text: str
) -> None:
    """Add an object to a video for each thing that is found on a frame; see `find_in_photo`.

    Raises:
        SessionError: Tracking is running.
    """
    with work.reading() as session:
        picture_hw3 = session.frames.picture(frame)
    found = _found(model.find(picture_hw3, _names(text)), text)
    for detection in found[: max(limits.objects - len(work.scene.prompted), 1)]:
        work.new_object()
        work.box(frame, detection.box)
        work.rename(detection.label, work.scene.active)


def _names(text: str) -> tuple[str, ...]:
    return read_labels([name for name in text.split(",") if name.strip()], "Find by name")


def _found(found: Found, text: str) -> Found:
    if not found:
        raise PromptError(f"Nothing here looks like {text.strip()!r:.80}. Try another name.")
    return found
