"""Controls of the video tab: what is on it, and what it shows of a video."""

from pathlib import Path
from typing import Any

import gradio as gr

from sam2_space.widgets import components as parts, gestures, timeline
from sam2_space.widgets.find_by_name import NameBox

from .drawing import draw_frame, hint
from .limits import Limits
from .video_files import curve_colors, to_review
from .video_work import VideoWork
from .visitors import Visitor

TAB = "video"
Updates = dict[Any, Any]
WELCOME = "**1** Choose a video. **2** Click an object in a frame. **3** Track it."
NO_REVIEW = "After tracking, frames where the model is unsure are listed here."
DIRECTIONS = (
    "forward from the first click",
    "both ways from the first click",
    "forward from the frame shown",
    "backward from the frame shown",
)
# what the page calls each memory policy
POLICIES = {
    "as trained (sam2)": "sam2",
    "skip doubtful frames (score)": "score",
    "follow motion (samurai)": "samurai",
    "remember look-alikes (distractor)": "distractor",
    "motion and look-alikes (samurai+distractor)": "samurai+distractor",
    "several hypotheses, up to three times slower (tree)": "tree",
}


class VideoControls:
    """Components of the tab.

    Args:
        limits: Named on the page.
        samples: Videos to try.
        knows_boxes: Whether the model supports boxes.
        knows_names: Whether there is a detector.
    """

    def __init__(
        self, limits: Limits, samples: list[Path], *, knows_boxes: bool, knows_names: bool = False
    ) -> None:
        self.hint = gr.Markdown(WELCOME, elem_classes="hint", elem_id="video-hint")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="pictures"):
                self._build_video(samples)
            with gr.Column(
                scale=2, min_width=320, visible=False, elem_classes="tools"
            ) as self.tools:
                self._build_tools(knows_boxes=knows_boxes, knows_names=knows_names)
        self.other = gr.Button("Other video", size="sm", visible=False, elem_id="video-other")
        with gr.Column(visible=False) as self.results:
            self._build_results(limits)
        gr.Markdown(limits.video_text(), elem_classes="limits")
        self.shown = [
            *(self.view, self.hint, self.frame, self.objects, self.name, self.tools, self.other),
            *(self.status, self.input, self.samples, self.results, self.kind, self.outdated),
            *(self.timeline, self.marks),
        ]

    def _build_video(self, samples: list[Path]) -> None:
        self.input = gr.Video(
            label="Video: drop or choose one",
            sources=["upload"],
            height=380,
            elem_id="video-input",
        )
        self.samples = gr.Dataset(
            label="Or try a sample",
            components=[gr.Video(visible=False)],
            samples=[[str(path)] for path in samples],
            type="index",
            elem_id="video-samples",
        )
        self.view = parts.picture_view(TAB, "A frame of your video with its masks")
        self.gestures = gestures.gestures(TAB)
        with gr.Column(visible=False, min_width=0, elem_classes="timeline") as self.timeline:
            self.thumbs = gestures.channel("video-thumbs")
            self.marks = gestures.channel("video-marks")
            gr.HTML(timeline.LEGEND)
        self.frame = gr.Slider(
            0, 1, 0, step=1, label="Frame", visible=False, elem_id="video-frame", buttons=[]
        )
        self.busy = parts.busy_line("video-busy")

    def _build_tools(self, *, knows_boxes: bool, knows_names: bool) -> None:
        self.kind = parts.click_kind(knows_boxes=knows_boxes)
        self.names = NameBox(TAB) if knows_names else None
        with gr.Row():
            self.undo = gr.Button("Undo", size="sm", min_width=80, elem_id="video-undo")
            self.clear = gr.Button(
                "Clear clicks here", size="sm", min_width=120, elem_id="video-clear"
            )
            self.new = gr.Button("New object", size="sm", min_width=100, elem_id="video-new")
            self.remove = gr.Button(
                "Remove object", size="sm", min_width=100, elem_id="video-remove"
            )
        self.objects, self.name = parts.object_list(TAB, "object 1")
        with gr.Row():
            self.choice = gr.Dropdown(
                list(DIRECTIONS),
                value=DIRECTIONS[0],
                label="Direction",
                elem_id="video-course",
                min_width=275,
                scale=3,
            )
            self.track = gr.Button(
                "Track", variant="primary", size="md", elem_id="video-track", min_width=70
            )
            self.stop = gr.Button(
                "Stop", variant="stop", size="md", elem_id="video-stop", min_width=70
            )
        with gr.Accordion("Advanced", open=False):
            self.policy = gr.Dropdown(
                list(POLICIES.items()),
                value=next(iter(POLICIES.values())),
                label="Memory",
                info="For long videos with look-alikes or occlusion. Track again to compare.",
                elem_id="video-policy",
            )
        self.status = gr.HTML("", elem_id="video-status", min_height=44)
        self.review = gr.Radio(
            [],
            label="Frames to review, most doubtful first",
            info=NO_REVIEW,
            elem_id="video-review",
            elem_classes="review",
        )
        with gr.Row(elem_classes="downloads", elem_id="video-downloads"):
            self.files = parts.download_buttons(["Video MP4", "Masks ZIP", "RLE JSON"])
        self.x, self.y, self.add = parts.typed_click()

    def _build_results(self, limits: Limits) -> None:
        self.outdated = parts.outdated_note()
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                self.player = gr.Video(
                    label="Tracked", interactive=False, autoplay=True, elem_id="video-player"
                )
            with gr.Column(scale=2, min_width=320):
                self.plot = gr.LinePlot(
                    x="frame",
                    y="predicted IoU",
                    color="object",
                    color_map=curve_colors(limits.objects),
                    y_lim=[0, 1],
                    height=330,
                    label="Model confidence",
                    elem_id="video-curve",
                )

    def shown_at(self, visitor: Visitor, work: VideoWork, frame: int) -> Updates:
        """Update all components for a frame."""
        picture = visitor.store_picture(draw_frame(work, frame))
        return {
            self.view: gr.update(value=picture, visible=True),
            self.hint: hint(work, frame),
            self.frame: gr.update(value=frame),
            self.objects: gr.update(choices=object_choices(work), value=work.scene.active),
            self.name: gr.update(value=work.names.get(work.scene.active, "")),
            self.marks: marks_of(work, frame),
            self.tools: gr.update(visible=True),
            self.other: gr.update(visible=True),
            self.outdated: gr.update(visible=work.is_outdated),
        }


def marks_of(work: VideoWork, frame: int) -> str:
    """Make the row of the timeline that changes."""
    doubtful = {at: text for text, at in to_review(work)} if not work.is_tracking else {}
    prompted = [prompt.frame for prompt in work.scene.prompts]
    return timeline.marks(work.num_frames, frame, work.tracked, prompted, doubtful)


def object_choices(work: VideoWork) -> list[tuple[str, int]]:
    """List the objects as choices: label and number."""
    return [(f"{number} · {work.name_of(number)}", number) for number in work.numbers]


def review_update(work: VideoWork) -> Updates:
    """Update the list of frames to review."""
    found = to_review(work)
    info = "" if found else "No frames to review."
    return gr.update(choices=found, value=None, info=info)
