"""What is on the tab for photos, and where."""

from pathlib import Path

import gradio as gr

from . import page_parts as parts
from .service import Service

MEANING = "What you may mean, and how good the model thinks it is. Choose one."
WELCOME = "**1** Choose a photo. **2** Click an object in it. **3** Download its mask."


class PhotoLayout:
    """Components of the tab.

    Args:
        service: The server's parts.
        samples: Photos to try.
    """

    def __init__(self, service: Service, samples: list[Path]) -> None:
        self.service = service
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                self._build_picture(samples)
            with gr.Column(scale=2, min_width=320, visible=False) as self.tools:
                self._build_tools()
        self.outputs = [
            *(self.input, self.samples, self.view, self.hint, self.tools, self.objects, self.name),
            *(self.meaning, self.candidates, self.status, self.other, self.kind, *self.files),
        ]

    def _build_picture(self, samples: list[Path]) -> None:
        self.hint = gr.Markdown(WELCOME, elem_classes="hint")
        self.input = gr.Image(
            label="Photo: drop, paste, choose, or take one",
            sources=["upload", "clipboard", "webcam"],
            type="filepath",
            image_mode=None,
            height=380,
            elem_id="photo-input",
        )
        self.samples = gr.Dataset(
            label="Or try one of these",
            components=[gr.Image(visible=False)],
            samples=[[str(path)] for path in samples],
            type="index",
            elem_id="photo-samples",
        )
        self.sample_paths = samples
        self.view = gr.Image(
            label="Click here",
            alt_text="Your photo with the masks so far",
            visible=False,
            interactive=False,
            buttons=["fullscreen"],
            elem_id="photo-view",
            elem_classes="canvas",
        )
        self.other = gr.Button("Other photo", size="sm", visible=False, elem_id="photo-other")
        gr.Markdown(self.service.limits.photo_text(), elem_classes="limits")

    def _build_tools(self) -> None:
        self.kind = parts.click_kind(knows_boxes=self.service.model.knows_boxes)
        with gr.Row():
            self.undo = gr.Button("Undo", size="sm", min_width=80, elem_id="photo-undo")
            self.clear = gr.Button("Clear", size="sm", min_width=80, elem_id="photo-clear")
            self.new = gr.Button("New object", size="sm", min_width=110, elem_id="photo-new")
        self.objects = gr.Radio(
            [], label="Object", elem_classes="objects", elem_id="photo-objects", visible=False
        )
        self.name = gr.Textbox(label="Its name", max_length=40, visible=False, elem_id="photo-name")
        self.meaning = gr.Markdown(MEANING, visible=False, elem_classes="above")
        self.candidates = gr.Gallery(
            label="Readings of the click",
            show_label=False,
            columns=4,
            height=150,
            allow_preview=False,
            visible=False,
            buttons=[],
            object_fit="contain",
            elem_id="photo-candidates",
        )
        self.x, self.y, self.add = parts.typed_click()
        self._build_everything()
        self.status = gr.HTML("", elem_id="photo-status")
        with gr.Row():
            self.make = gr.Button("Make files", variant="primary", elem_id="photo-make")
        with gr.Row():
            self.files = parts.download_buttons(["Overlay PNG", "Mask PNG", "COCO JSON"])

    def _build_everything(self) -> None:
        start = self.service.model.everything
        with gr.Accordion("Everything in the photo", open=False):
            self.points = gr.Slider(
                4, 32, start.points_per_side, step=4, label="Clicks along each side"
            )
            self.iou = gr.Slider(
                0, 1, start.pred_iou_thresh, step=0.05, label="Least predicted IoU"
            )
            self.stability = gr.Slider(
                0, 1, start.stability_score_thresh, step=0.05, label="Least stability"
            )
            with gr.Row():
                self.find = gr.Button("Find everything", elem_id="photo-everything")
                self.stop = gr.Button("Stop", variant="stop", min_width=80)
