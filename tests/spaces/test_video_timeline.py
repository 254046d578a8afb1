"""The timeline of a video, in a browser: thumbnails, marks, keys, names, and what does not move."""

from tests.spaces.looking import SECONDS, click, source, wait_for_new
from tests.spaces.test_photo_gestures import PLACES, SCREEN
from tests.spaces.test_video_tab import CUP, NUM_FRAMES, VIEW, open_sample

STAYING = "#video-view, #video-thumbs, .tools .kind, .tools button, .tools input, #video-review"
MARKS = "#video-marks .marks"


def shown_frame(page):
    return int(page.locator(MARKS).get_attribute("data-frame"))


def wait_for_frame(page, frame):
    page.locator(f"{MARKS}[data-frame='{frame}']").wait_for(timeout=SECONDS)
    assert page.locator("#video-frame input[type=number]").input_value() == str(frame)


def test_a_video_is_walked_by_keys_and_timeline_and_its_objects_have_names(page):
    page.set_viewport_size(SCREEN)
    open_sample(page)
    page.locator("#video-thumbs img").last.wait_for(timeout=SECONDS)
    at_first = page.evaluate(PLACES, STAYING)

    page.evaluate("document.activeElement.blur()")
    for keys, frame in (("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10)):
        page.keyboard.press(keys)
        wait_for_frame(page, frame)
    click(page, VIEW, CUP)
    name = page.locator("#video-name input, #video-name textarea")
    name.fill("my cup")
    page.keyboard.press("ArrowLeft")  # moves the text's cursor, not the video
    page.keyboard.press("Enter")
    page.get_by_text("1 · my cup").wait_for(timeout=SECONDS)

    assert page.locator("#video-thumbs img").count() == 12
    assert shown_frame(page) == 10
    assert page.locator(f"{MARKS} .prompt").get_attribute("data-mark") == "10"
    box = page.locator(MARKS).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 5)
    wait_for_frame(page, round(0.75 * (NUM_FRAMES - 1)))
    mark = page.locator(f"{MARKS} .prompt").bounding_box()
    page.mouse.click(mark["x"] + 3, mark["y"] + 6)  # beside its center, which counts as the mark
    wait_for_frame(page, 10)
    assert page.evaluate(PLACES, STAYING) == at_first
    follow_a_doubt(page, at_first)


def follow_a_doubt(page, at_first):
    """Track some frames, stop, and look at a frame that the model doubts."""
    page.locator("#video-track").click()
    page.locator("#video-status progress").wait_for(timeout=SECONDS)
    progress = page.locator("#video-status progress").bounding_box()
    busy = page.locator("#video-busy").bounding_box()  # where Gradio shows its own progress
    page.wait_for_function(
        f"document.querySelector('{MARKS}').dataset.frame >= 12", timeout=SECONDS
    )
    page.locator("#video-stop").click()
    page.locator("#video-status", has_text="tracked frames are kept").wait_for(timeout=SECONDS)
    doubt = page.locator("#video-review label").first
    doubt.wait_for(timeout=SECONDS)
    text, before = doubt.inner_text(), source(page, VIEW)
    frame = int(text.split()[1])

    doubt.click()
    wait_for_frame(page, frame)
    wait_for_new(page, VIEW, before)

    assert "my cup" in text
    assert page.locator(f"{MARKS} .doubt[data-mark='{frame}']").count() == 1
    assert page.locator(f"{MARKS} .tracked").count() == 1
    assert page.evaluate(PLACES, STAYING) == at_first
    assert busy["x"] + busy["width"] < progress["x"]  # so it lies over nothing
    assert page.locator("#video-busy .prose").inner_text() == ""
    review, view = page.locator("#video-review").bounding_box(), page.locator(VIEW).bounding_box()
    assert review["x"] > view["x"] + view["width"]  # beside the picture
