"""How the page looks: a theme of system fonts, so nothing is fetched from elsewhere, and some CSS.

An object's button has the colour of its mask: those of Okabe and Ito, which stay apart for
colour-blind eyes; the number is written beside it all the same.
"""

import gradio as gr

from sam2_hf.overlay import object_colours

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Consolas", "monospace")
MOST_COLOURS = 14

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
    """Make the theme: Gradio's own, quiet, in system fonts."""
    return gr.themes.Soft(primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=MONO)


def css() -> str:
    """Write the style, with a colour for each object's button."""
    rules = [
        f".objects label:nth-of-type({number}) "
        f"{{ border-left-color: rgb({red}, {green}, {blue}); }}"
        for number, (red, green, blue) in enumerate(object_colours(MOST_COLOURS), 1)
    ]
    return CSS + "\n".join(rules)
