"""What a visitor of the static page does, and what they see.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import base64
import io

import numpy as np
from PIL import Image
from playwright.sync_api import expect

SECONDS = 100_000  # milliseconds, for a busy machine
CANVAS = "canvas[role=application]"
TINTED = 12  # levels of 255 by which a mask changes a pixel at least


def wait_until_ready(page):
    expect(page.locator("#engine-state")).to_contain_text("Ready", timeout=SECONDS)


def wait_for(locator, text):
    expect(locator).to_contain_text(text, timeout=SECONDS)


def sample_photo(page, name="A cup of coffee"):
    """Take a sample photo; return the canvas that is clicked."""
    open_photo(page, lambda: page.get_by_role("button", name=name).click())
    return page.locator(f"#photo {CANVAS}")


def open_photo(page, opening):
    note = page.locator("#photo [data-part=note]")
    page.evaluate("document.querySelector('#photo [data-part=note]').textContent = ''")
    opening()
    wait_for(note, "Click an object")


def place(canvas, x, y):
    """Turn shares of the picture into a place on its canvas."""
    box = canvas.bounding_box()
    return {"x": x * box["width"], "y": y * box["height"]}


def click(page, x, y, *, tab="photo", **how):
    """Click at shares of the picture, and wait until it is drawn."""
    canvas = page.locator(f"#{tab} {CANVAS}")
    before = pixels(page, tab)
    canvas.click(position=place(canvas, x, y), **how)
    return wait_for_change(page, tab, before)


def wait_for_change(page, tab, before_hw3):
    """Wait for another picture than before, and return its pixels."""
    for _ in range(SECONDS // 50):
        now_hw3 = pixels(page, tab)
        if now_hw3.shape != before_hw3.shape or (now_hw3 != before_hw3).any():
            return now_hw3
        page.wait_for_timeout(50)
    raise AssertionError("the picture stayed as it was")


def pixels(page, tab="photo"):
    """Read the picture as it is drawn: `(height, width, 3)`, signed so that it subtracts."""
    page.mouse.move(0, 0)
    data = page.locator(f"#{tab} {CANVAS}").evaluate("canvas => canvas.toDataURL()")
    picture = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    return np.asarray(picture.convert("RGB")).astype(int)


def tinted(before_hw3, after_hw3):
    """Tell which pixels differ: `(height, width)`."""
    return np.abs(before_hw3 - after_hw3).max(axis=2) > TINTED


def download(page, tab, button):
    """Press a button that gives a picture; return it and its name."""
    with page.expect_download() as started:
        page.locator(f"#{tab}").get_by_role("button", name=button).click()
    with Image.open(started.value.path()) as picture:
        picture.load()
    return picture, started.value.suggested_filename


def png(picture):
    """Write a picture as bytes of a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def iou(mask_hw, other_hw):
    union = (mask_hw | other_hw).sum()
    return (mask_hw & other_hw).sum() / union if union else 1.0
