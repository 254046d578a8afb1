"""Theme of the page, and components shared by tabs.

The theme uses system fonts, so that nothing is fetched from other sites. An object's button has the
color of its mask, one of Okabe and Ito's for color-blind users; its number is shown as well.
"""

import html
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from sam2_hf.overlay import object_colors

ON, BESIDE, CORNER = "On the object", "Beside it", "Corner of a box"
CLICK_KINDS = (ON, BESIDE, CORNER)
NO_BOXES = "This model has not learned boxes; it takes one as a click in its middle."


def progress_bar(done: int, total: int, text: str) -> str:
    """Make the progress bar of a job, accessible to screen readers."""
    label = html.escape(text)
    return (
        f'<div class="job" role="status"><progress value="{done}" max="{max(total, 1)}" '
        f'aria-label="{label}"></progress><span>{label}</span></div>'
    )


def status_line(text: str) -> str:
    """Make a status line."""
    return f'<div class="job" role="status"><span>{html.escape(text)}</span></div>'


def click_kind(*, knows_boxes: bool) -> gr.Radio:
    """Make the choice of the meaning of a click."""
    return gr.Radio(
        list(CLICK_KINDS),
        value=ON,
        label="A click is",
        info=None if knows_boxes else NO_BOXES,
        elem_classes="kind",
        min_width=120,
    )


def typed_click() -> tuple[gr.Number, gr.Number, gr.Button]:
    """Make inputs for a typed click, as an alternative to the mouse."""
    with gr.Accordion("Type a click instead", open=False), gr.Row():
        x = gr.Number(label="x, from the left", precision=0, minimum=0, min_width=90)
        y = gr.Number(label="y, from the top", precision=0, minimum=0, min_width=90)
        add = gr.Button("Add", min_width=90, elem_classes="add-typed")
    return x, y, add


def download_buttons(labels: Sequence[str]) -> list[gr.DownloadButton]:
    """Make download buttons, without files yet."""
    return [gr.DownloadButton(label, visible=False, size="sm", min_width=110) for label in labels]


def offered(buttons: Sequence[gr.DownloadButton], files: Sequence[Path]) -> dict[object, object]:
    """Update buttons to offer files."""
    pairs = zip(buttons, files, strict=True)
    return {button: gr.update(value=str(file), visible=True) for button, file in pairs}


def withdrawn(buttons: Sequence[gr.DownloadButton]) -> dict[object, object]:
    """Update buttons to hide outdated files."""
    return {button: gr.update(value=None, visible=False) for button in buttons}


def outdated_note() -> gr.Markdown:
    """Make the note about outdated results, hidden at first."""
    text = "**Out of date:** these results are from before your last change. Track again."
    return gr.Markdown(text, visible=False, elem_id="video-outdated")


FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Consolas", "monospace")
MOST_COLORS = 14

CSS = """
.gradio-container {
  width: 100% !important; max-width: 1280px !important; margin: 0 auto; box-sizing: border-box;
}
.hint { font-size: 1.08rem; min-height: 1.8rem; }
.limits { opacity: .75; font-size: .85rem; }
main.app { width: 100%; box-sizing: border-box; }
.canvas img { cursor: crosshair; }
#video-curve { padding-bottom: 2.6rem !important; }
#video-curve svg { overflow: visible; }
.job { display: flex; flex-direction: column; gap: .35rem; min-height: 1.4rem; }
.job progress {
  appearance: none; width: 100%; height: .7rem; border: 0; border-radius: .35rem;
  overflow: hidden; background: var(--neutral-200, #cbd5e1);
}
.dark .job progress { background: var(--neutral-700, #334155); }
.job progress::-webkit-progress-bar { background: transparent; }
.job progress::-webkit-progress-value { background: #0072b2; }
.job progress::-moz-progress-bar { background: #0072b2; }
.above { font-size: .9rem; }
.objects label { border-left: .5rem solid transparent; }
button:focus-visible, input:focus-visible, label:focus-within {
  outline: 3px solid #e69f00; outline-offset: 2px;
}
footer { opacity: .6; }
@media (max-width: 640px) {
  .gradio-container { padding: .5rem !important; }
  #intro p { font-size: .95rem; }
}
"""


def theme() -> gr.themes.Base:
    """Make the theme: Gradio's Soft in system fonts."""
    return gr.themes.Soft(primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=MONO)


def css() -> str:
    """Return the CSS, with a color for each object's button."""
    rules = [
        f".objects label:nth-of-type({number}) "
        f"{{ border-left-color: rgb({red}, {green}, {blue}); }}"
        for number, (red, green, blue) in enumerate(object_colors(MOST_COLORS), 1)
    ]
    return CSS + "\n".join(rules)
