"""What a person does with the page, and what they see: clicks and pixels.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import base64
import io
import time

import numpy as np
from PIL import Image

SECONDS = 180_000  # milliseconds, for a busy machine
TINTED = 12  # levels of 255 by which a mask changes a pixel at least; a JPEG's noise stays below
NEAR, FAR = 18, 30  # pixels around a click: outside its marker, and still close by
CORNERS = """([where, x, y]) => {
  const image = document.querySelector(where + ' img'), box = image?.getBoundingClientRect();
  if (!image || !image.complete || !image.naturalWidth || !box.width) return null;
  const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
  return [box.left + (box.width - scale * image.naturalWidth) / 2 + scale * x,
          box.top + (box.height - scale * image.naturalHeight) / 2 + scale * y];
}"""


def source(page, where):
    return page.locator(f"{where} img").first.get_attribute("src")


def wait_for_new(page, where, before):
    """Wait for another picture than the one of before, and return its pixels."""
    changed = "([where, before]) => { const one = document.querySelector(where + ' img');"
    changed += " return one && one.getAttribute('src') != before && one.complete; }"
    page.wait_for_function(changed, arg=[where, before], timeout=SECONDS)
    return pixels(page, where)


def pixels(page, where):
    """Fetch the picture as the browser does: `(height, width, 3)`, signed so that it subtracts."""
    address = source(page, where)
    if address.startswith("data:"):
        body = base64.b64decode(address.split(",")[1])
    else:
        answer = page.request.get(address)
        assert answer.status == 200
        body = answer.body()
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)


def click(page, where, xy):
    """Click a pixel of the picture; return the new picture's pixels."""
    before = source(page, where)
    page.locator(f"{where} img").first.scroll_into_view_if_needed()
    there = page.wait_for_function(CORNERS, arg=[where, *xy], timeout=SECONDS).json_value()
    page.mouse.click(*there)
    return wait_for_new(page, where, before)


def press(page, button, where):
    """Press a button that changes the picture; return the new picture's pixels."""
    before = source(page, where)
    page.locator(button).click()
    return wait_for_new(page, where, before)


def tinted(before_hw3, after_hw3):
    """Tell which pixels differ: `(height, width)`."""
    return np.abs(before_hw3 - after_hw3).max(axis=2) > TINTED


def share_around(changed_hw, xy):
    """Tell how much of a ring around a click is changed, without the marker on it."""
    rows, columns = np.mgrid[: changed_hw.shape[0], : changed_hw.shape[1]]
    distance = np.hypot(columns - xy[0], rows - xy[1])
    return changed_hw[(distance > NEAR) & (distance < FAR)].mean()


def choose_kind(page, tab, kind):
    """Say what a click means."""
    page.get_by_role("tabpanel").filter(visible=True).get_by_label(kind, exact=True).check()
    time.sleep(0.2)


def sample_photo(page, which=1):
    """Take a sample photo (the coffee cup); return its pixels."""
    page.locator("#photo-samples .gallery-item").nth(which).click()
    page.wait_for_selector("#photo-view img", timeout=SECONDS)
    return pixels(page, "#photo-view")


def coarse(picture_hw3, side=8):
    """Average over blocks, so that two codecs' ideas of fine detail do not count."""
    height, width = (length // side * side for length in picture_hw3.shape[:2])
    blocks = picture_hw3[:height, :width].reshape(height // side, side, width // side, side, 3)
    return blocks.mean(axis=(1, 3))


def shoot(page, where):
    """Let the page have the camera and press its shutter, as soon as there is a picture."""
    page.get_by_text("Click to Access Webcam").click()
    runs = "where => document.querySelector(where + ' video')?.videoWidth > 0"
    page.wait_for_function(runs, arg=where, timeout=SECONDS)
    page.locator(f"{where} button[aria-label='capture photo']").click()


def require_message(page, expected):
    """Wait for a message that contains a text, and close it."""
    toast = page.locator(".toast-body", has_text=expected).last
    toast.wait_for(timeout=SECONDS)
    toast.locator("button.toast-close").click()
    toast.wait_for(state="detached", timeout=SECONDS)
