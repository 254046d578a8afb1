"""Theme of the page, and components shared by tabs.

The theme uses system fonts, so that nothing is fetched from other sites. An object's button has the
color of its mask, one of Okabe and Ito's for color-blind users; its number is shown as well.
"""

import html
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from sam2_hf.overlay import object_colors

INCLUDE, EXCLUDE, CORNER = "Include", "Exclude", "Box corner"
CLICK_KINDS = (INCLUDE, EXCLUDE, CORNER)
GESTURES = "Shift-click or right-click to exclude; drag to draw a box."
NO_BOXES = "This model has not learned boxes; a box counts as a click at its center."


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


def picture_view(tab: str, alt: str) -> gr.Image:
    """Make the picture that is clicked, hidden until there is one.

    Args:
        tab: Name of the tab.
        alt: Its description for screen readers.
    """
    return gr.Image(
        label="Click here",
        show_label=False,
        alt_text=alt,
        visible=False,
        interactive=False,
        buttons=["fullscreen"],
        elem_id=f"{tab}-view",
        elem_classes="canvas",
    )


def click_kind(*, knows_boxes: bool) -> gr.Radio:
    """Make the choice of the meaning of a click, and the note about other gestures."""
    kind = gr.Radio(
        list(CLICK_KINDS),
        value=INCLUDE,
        label="Click type",
        info=None if knows_boxes else NO_BOXES,
        elem_classes="kind",
        min_width=120,
    )
    gr.HTML(GESTURES, elem_classes=["note", "mouse"])
    return kind


def typed_click() -> tuple[gr.Number, gr.Number, gr.Button]:
    """Make inputs for a typed click, as an alternative to the mouse."""
    with gr.Accordion("Type a click instead", open=False), gr.Row():
        x = gr.Number(label="x, from the left", precision=0, minimum=0, min_width=90)
        y = gr.Number(label="y, from the top", precision=0, minimum=0, min_width=90)
        add = gr.Button("Add", min_width=90, elem_classes="add-typed")
    return x, y, add


def object_list(tab: str, name: str) -> tuple[gr.Radio, gr.Textbox]:
    """Make the choice of the object that clicks apply to, and the input for its name.

    Args:
        tab: Name of the tab.
        name: Name of the first object.
    """
    with gr.Row(equal_height=False):
        objects = gr.Radio(
            [(f"1 · {name}", 1)],
            value=1,
            label="Object",
            elem_classes="objects",
            elem_id=f"{tab}-objects",
            scale=3,
        )
        text = gr.Textbox(
            label="Object name", max_length=MAX_NAME, elem_id=f"{tab}-name", min_width=120, scale=2
        )
    return objects, text


def busy_line(elem_id: str) -> gr.HTML:
    """Make the line for the place in the queue and the progress of a request.

    It is empty otherwise: Gradio lays them over what is there.
    """
    return gr.HTML("", elem_id=elem_id, elem_classes="busy", min_height=28)


def download_buttons(labels: Sequence[str]) -> list[gr.DownloadButton]:
    """Make download buttons, without files yet."""
    return [
        gr.DownloadButton(label, interactive=False, size="sm", min_width=90) for label in labels
    ]


def offered(buttons: Sequence[gr.DownloadButton], files: Sequence[Path]) -> dict[object, object]:
    """Update buttons to offer files."""
    pairs = zip(buttons, files, strict=True)
    return {button: gr.update(value=str(file), interactive=True) for button, file in pairs}


def outdated_note() -> gr.Markdown:
    """Make the note about outdated results, hidden at first."""
    text = "**Out of date:** these results are from before your last change. Track again."
    return gr.Markdown(text, visible=False, elem_id="video-outdated")


MAX_NAME = 40  # characters
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Consolas", "monospace")
MOST_COLORS = 14
HERE = Path(__file__).parents[1]


def theme() -> gr.themes.Base:
    """Make the theme: Gradio's Soft in system fonts, with text of enough contrast (WCAG AA)."""
    soft = gr.themes.Soft(primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=MONO)
    return soft.set(
        block_label_text_color="*primary_800",
        block_title_text_color="*primary_800",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_secondary_background_fill_hover_dark="*primary_700",
        button_cancel_background_fill_hover_dark="*primary_700",
        block_label_background_fill_dark="*primary_700",
        color_accent="*primary_700",
        background_fill_primary="*neutral_50",  # as in Soft; `set` forgets it
    )


def css() -> str:
    """Return the CSS, with a color for each object's button."""
    rules = [
        f".objects label:nth-of-type({number}) "
        f"{{ border-left-color: rgb({red}, {green}, {blue}); }}"
        for number, (red, green, blue) in enumerate(object_colors(MOST_COLORS), 1)
    ]
    return (HERE / "page.css").read_text(encoding="utf-8") + "\n".join(rules)


def script() -> str:
    """Return the page's own script, for its head."""
    return f"<script>\n{(HERE / 'page.js').read_text(encoding='utf-8')}</script>"
