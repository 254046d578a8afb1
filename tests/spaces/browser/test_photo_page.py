"""Photos on the static page, as a visitor has them."""

import numpy as np
import pytest
from PIL import Image

from sam2_hf.export.numpy_runner import NumpySegmenter
from tests.spaces.browser import visiting

pytestmark = pytest.mark.slow  # each file starts a browser with the model

NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas[tabindex]')]
  .filter((one) => one.checkVisibility() || one.type === 'file')
  .filter((one) => !(one.ariaLabel || one.labels?.[0]?.textContent.trim() || one.textContent.trim()
    || one.querySelector('img')?.alt))
  .map((one) => one.outerHTML)"""


def test_a_click_marks_an_object_and_offers_three_readings(page):
    visiting.sample_photo(page)
    before_hw3 = visiting.pixels(page)

    after_hw3 = visiting.click(page, 0.5, 0.55)

    height, width = before_hw3.shape[:2]
    changed_hw = visiting.tinted(before_hw3, after_hw3)
    assert changed_hw[int(0.50 * height), int(0.5 * width)]
    assert 0.01 < changed_hw.mean() < 0.5
    assert page.locator("#photo .choice").count() == 3
    page.locator("#photo .choice").nth(1).click()
    assert (visiting.wait_for_change(page, "photo", after_hw3) != after_hw3).any()


def test_excluding_changes_the_mask_and_undo_brings_it_back(page):
    visiting.sample_photo(page)
    plain_hw3 = visiting.pixels(page)
    first_hw3 = visiting.click(page, 0.5, 0.55)

    second_hw3 = visiting.click(page, 0.5, 0.8, button="right")
    page.get_by_role("button", name="Undo").click()

    assert np.array_equal(visiting.wait_for_change(page, "photo", second_hw3), first_hw3)
    page.get_by_role("button", name="Start over").click()
    assert np.array_equal(visiting.wait_for_change(page, "photo", first_hw3), plain_hw3)


def test_each_object_has_a_color_a_name_and_files(page, built, tmp_path):
    with Image.open(built / "samples" / "cat.jpg") as picture:
        photo = picture.convert("RGB").crop((0, 0, 300, 240))
    file = {"name": "my cat.png", "mimeType": "image/png", "buffer": visiting.png(photo)}
    choose = page.locator("#photo input[type=file]")
    visiting.open_photo(page, lambda: choose.set_input_files(file))
    visiting.click(page, 0.3, 0.3)
    page.get_by_role("button", name="New object").click()
    visiting.click(page, 0.5, 0.5)
    page.get_by_label("Name of object 2").fill("nose")

    mask, mask_name = visiting.download(page, "photo", "Download mask")
    cutout, cutout_name = visiting.download(page, "photo", "Download cutout")

    assert (mask_name, cutout_name) == ("my-cat_nose_mask.png", "my-cat_nose_cutout.png")
    drawn_hw = np.asarray(mask.convert("L")) > 127
    expected_hw = NumpySegmenter(built / "model").encode(photo).masks([(150, 120)])[0][0]
    assert visiting.iou(drawn_hw, expected_hw) >= 0.98  # a click on a screen's pixel
    cut_hw4 = np.asarray(cutout)
    assert (cut_hw4[..., 3] > 0).sum() == drawn_hw.sum()
    assert (cut_hw4[cut_hw4[..., 3] == 0] == 0).all()  # nothing of the background is in the file
    swatches = page.locator("#photo .swatch").evaluate_all(
        "all => all.map((one) => one.style.backgroundColor)"
    )
    assert swatches == ["rgb(86, 180, 233)", "rgb(230, 159, 0)"]
    page.get_by_label("Remove object 2").click()
    assert page.locator("#photo .swatch").count() == 1


def test_a_box_counts_as_a_click_in_its_middle_and_the_page_says_so(page):
    canvas = visiting.sample_photo(page)
    before_hw3 = visiting.pixels(page)
    corners = [visiting.place(canvas, *share) for share in ((0.3, 0.3), (0.7, 0.8))]
    area = canvas.bounding_box()
    (left, top), (right, bottom) = [(area["x"] + c["x"], area["y"] + c["y"]) for c in corners]

    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(right, bottom, steps=3)
    page.mouse.up()

    boxed_hw3 = visiting.wait_for_change(page, "photo", before_hw3)
    assert page.locator("#photo .choice").count() == 3
    assert page.get_by_text("a box counts as a click at its center").first.is_visible()
    assert (boxed_hw3 != before_hw3).any()


def test_the_keyboard_clicks_and_takes_back(page):
    canvas = visiting.sample_photo(page)
    plain_hw3 = visiting.pixels(page)
    canvas.focus()

    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("#photo .choice").first.wait_for()
    page.keyboard.press("z")
    page.keyboard.press("Tab")  # the cross goes with the focus

    assert np.array_equal(visiting.pixels(page), plain_hw3)
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_every_control_has_a_name_for_screen_readers(page):
    visiting.sample_photo(page)
    visiting.click(page, 0.5, 0.55)

    assert page.evaluate(NAMELESS) == []
    page.get_by_role("tab", name="Photo").press("ArrowRight")
    assert page.get_by_role("tab", name="Clip and webcam").get_attribute("aria-selected") == "true"
    assert page.evaluate(NAMELESS) == []


def test_a_file_that_is_no_picture_is_refused_in_a_sentence(page):
    visiting.sample_photo(page)
    before_hw3 = visiting.click(page, 0.5, 0.55)
    file = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}

    page.locator("#photo input[type=file]").set_input_files(file)

    visiting.wait_for(page.get_by_role("alert"), "notes.txt is not a picture")
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    assert np.array_equal(visiting.pixels(page), before_hw3)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 404}, "could not be downloaded (HTTP 404)"),
        ({"status": 200, "body": b"short"}, "has 0.00 MiB instead of"),
    ],
)
def test_a_model_that_does_not_arrive_is_said_in_a_sentence(browser, address, fault, said):
    context = browser.new_context()
    context.route("**/image_encoder.onnx*", lambda route: route.fulfill(**fault))
    page = context.new_page()

    page.goto(address)

    visiting.wait_for(page.get_by_role("alert"), said)
    context.close()


def test_webgpu_that_cannot_run_the_model_gives_way_to_webassembly(browser, built, address):
    script = (built / "engine" / "runtime.js").read_text(encoding="utf-8")
    certain = script.replace("(await hasWebGpu())", "true")  # this browser has none
    context = browser.new_context()
    own = {"Cross-Origin-Embedder-Policy": "require-corp", "Content-Type": "text/javascript"}
    context.route(
        "**/engine/runtime.js", lambda route: route.fulfill(status=200, body=certain, headers=own)
    )
    page = context.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))

    page.goto(address)

    visiting.wait_until_ready(page)
    assert "on WebAssembly" in page.locator("#engine-state").inner_text()
    assert [text for text in said if text.startswith("WebGPU cannot run the model")]
    context.close()
