"""Page of the Space: the tabs, the endpoints, and cleanup when a visitor leaves."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction

from sam2_space.review.review_tab import ReviewTab

from .api import Api
from .live_tab import LiveTab
from .photo_tab import PhotoTab
from .readable_errors import NumberOfInputsError, as_message
from .service import Service
from .video_tab import VideoTab

TITLE = "Segment anything: photos, videos, webcam"
ENDINGS = {"photo": (".jpg", ".png"), "video": (".mp4",)}


class Page(gr.Blocks):
    """Gradio's page, with readable errors also for failures before our handlers.

    Gradio parses the values of a call first; its failures would only appear in its log.
    """

    async def process_api(
        self, block_fn: BlockFunction | int, inputs: list[Any], *rest: Any, **named: Any
    ) -> dict[str, Any]:
        """Answer one call; see `gradio.Blocks.process_api`."""
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        try:
            if len(inputs) != len(function.inputs):
                raise NumberOfInputsError(
                    f"{len(inputs)} values were sent, but this takes {len(function.inputs)}. "
                    "/gradio_api/info lists them."
                )
            return await super().process_api(block_fn, inputs, *rest, **named)
        except Exception as error:
            raise as_message(error) from error


def build_page(service: Service, samples: list[Path]) -> gr.Blocks:
    """Build the page.

    Args:
        service: The server's parts.
        samples: Photos and videos to try.
    """
    photos = [path for path in samples if path.suffix in ENDINGS["photo"]]
    videos = [path for path in samples if path.suffix in ENDINGS["video"]]
    with Page(title=TITLE, analytics_enabled=False) as page:
        Api(service)  # first, so that no button takes an endpoint's name
        gr.Markdown(_introduction(service), elem_id="intro")
        if service.desk is not None:
            with gr.Tab("Review", id="review"):
                ReviewTab(service, service.desk)
        with gr.Tab("Photo", id="photo"):
            PhotoTab(service, photos)
        with gr.Tab("Video", id="video"):
            VideoTab(service, videos)
        with gr.Tab("Live", id="live"):
            LiveTab(service)
        page.unload(service.went_away)
    page.queue(max_size=service.limits.waiting, default_concurrency_limit=1, api_open=False)
    return page


def _introduction(service: Service) -> str:
    return (
        "# Click an object to cut it out\n"
        f"SAM 2 (`{service.model.name}`) finds the outline of anything you click, in a photo, "
        "in a video or live."
    )
