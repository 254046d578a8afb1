"""Small parts that several tabs show."""

import html
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

ON, BESIDE, CORNER = "On the object", "Beside it", "Corner of a box"
CLICK_KINDS = (ON, BESIDE, CORNER)
NO_BOXES = "This model has not learned boxes; it takes one as a click in its middle."


def progress_bar(done: int, total: int, text: str) -> str:
    """Draw how far a job is, readable by eye and by screen reader."""
    label = html.escape(text)
    return (
        f'<div class="job" role="status"><progress value="{done}" max="{max(total, 1)}" '
        f'aria-label="{label}"></progress><span>{label}</span></div>'
    )


def status_line(text: str) -> str:
    """Write one line of status."""
    return f'<div class="job" role="status"><span>{html.escape(text)}</span></div>'


def click_kind(*, knows_boxes: bool) -> gr.Radio:
    """Ask what a click means."""
    return gr.Radio(
        list(CLICK_KINDS),
        value=ON,
        label="A click is",
        info=None if knows_boxes else NO_BOXES,
        elem_classes="kind",
        min_width=120,
    )


def typed_click() -> tuple[gr.Number, gr.Number, gr.Button]:
    """Offer to type a click, for those who do not use a mouse."""
    with gr.Accordion("Type a click instead", open=False), gr.Row():
        x = gr.Number(label="x, from the left", precision=0, minimum=0, min_width=90)
        y = gr.Number(label="y, from the top", precision=0, minimum=0, min_width=90)
        add = gr.Button("Add", min_width=90, elem_classes="add-typed")
    return x, y, add


def download_buttons(labels: Sequence[str]) -> list[gr.DownloadButton]:
    """Make buttons for files that are not there yet."""
    return [gr.DownloadButton(label, visible=False, size="sm", min_width=110) for label in labels]


def offered(buttons: Sequence[gr.DownloadButton], files: Sequence[Path]) -> dict[object, object]:
    """Let buttons offer files."""
    pairs = zip(buttons, files, strict=True)
    return {button: gr.update(value=str(file), visible=True) for button, file in pairs}


def withdrawn(buttons: Sequence[gr.DownloadButton]) -> dict[object, object]:
    """Hide buttons whose files are out of date."""
    return {button: gr.update(value=None, visible=False) for button in buttons}


def outdated_note() -> gr.Markdown:
    """Make the note that results are from before the last change; it is not shown at first."""
    text = "**Out of date:** these results are from before your last change. Track again."
    return gr.Markdown(text, visible=False, elem_id="video-outdated")
