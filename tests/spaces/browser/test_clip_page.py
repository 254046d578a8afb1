"""Clips and the webcam on the static page, as a visitor has them."""

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.spaces.browser import visiting

pytestmark = pytest.mark.slow  # each file starts a browser with the model

REFUSE = """() => { navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException('', 'NotAllowedError')); }"""


@pytest.fixture
def clip(page):
    """The tab of clips."""
    page.get_by_role("tab", name="Clip and webcam").click()
    page.locator("#message").evaluate("message => { message.hidden = true; }")
    return page.locator("#clip")


def track_until(clip, frame):
    clip.get_by_role("button", name="Track").click()
    shown = re.compile(f"Frame ([{frame}-9]|[1-9][0-9])")
    expect(clip.locator("output")).to_contain_text(shown, timeout=visiting.SECONDS)


def test_objects_are_followed_through_a_clip_and_corrected_on_the_way(page, clip, built):
    clip.locator("input[type=file]").set_input_files(built / "samples" / "cup-and-cat.mp4")
    visiting.wait_for(clip.locator("[data-part=note]"), "Click an object")
    before_hw3 = visiting.pixels(page, "clip")
    assert clip.get_by_role("button", name="Track").is_disabled()
    first_hw3 = visiting.click(page, 0.3, 0.6, tab="clip")
    clip.get_by_role("button", name="New object").click()
    visiting.click(page, 0.77, 0.4, tab="clip")

    track_until(clip, 2)
    visiting.click(page, 0.5, 0.1, tab="clip", modifiers=["Shift"])

    expect(clip.get_by_role("button", name="Track")).to_be_enabled(timeout=visiting.SECONDS)
    expect(clip.get_by_role("button", name="Undo")).to_be_enabled(timeout=visiting.SECONDS)
    assert "frames per second" in clip.locator("output").inner_text()
    assert visiting.tinted(before_hw3, first_hw3).mean() > 0.01
    mask, name = visiting.download(page, "clip", "Download mask")
    assert mask.size == (480, 360)
    assert re.fullmatch(r"frame-\d+_Object-2_mask.png", name)
    clip.get_by_role("button", name="Stop").click()
    expect(clip.locator(visiting.CANVAS)).to_be_hidden(timeout=visiting.SECONDS)


def test_the_webcam_is_followed_live(page, clip):
    clip.get_by_role("button", name="Start the webcam").click()
    visiting.wait_for(clip.locator("[data-part=note]"), "Click an object")
    clip.locator(visiting.CANVAS).click()
    expect(clip.get_by_role("button", name="Track")).to_be_enabled(timeout=visiting.SECONDS)

    track_until(clip, 2)

    clip.get_by_role("button", name="Pause").click()
    expect(clip.get_by_role("button", name="Track")).to_be_visible(timeout=visiting.SECONDS)
    clip.get_by_role("button", name="Stop").click()
    expect(clip.locator(visiting.CANVAS)).to_be_hidden(timeout=visiting.SECONDS)


def test_a_camera_that_is_not_allowed_is_said_in_a_sentence(page, clip):
    page.evaluate(REFUSE)

    clip.get_by_role("button", name="Start the webcam").click()

    visiting.wait_for(page.get_by_role("alert"), "The browser did not allow the camera.")


def test_a_file_that_is_no_clip_is_refused_in_a_sentence(page, clip):
    file = {"name": "broken.mp4", "mimeType": "video/mp4", "buffer": b"no clip"}

    clip.locator("input[type=file]").set_input_files(file)

    visiting.wait_for(page.get_by_role("alert"), "broken.mp4 is not a clip that this browser")


def test_a_server_without_headers_gets_threads_by_a_service_worker(browser, built):
    class Plain(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Plain, directory=str(built))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        page.wait_for_event("load", timeout=visiting.SECONDS)  # once more, by the page itself
        isolated = page.evaluate("crossOriginIsolated")
        context.close()
        server.shutdown()
        thread.join()

    assert isolated
