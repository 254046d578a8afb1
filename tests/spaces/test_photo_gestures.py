"""Gestures on a photo, in a browser: drags, right clicks, the preview, and what does not move."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.spaces.conftest import ROOT
from tests.spaces.looking import (
    CORNERS,
    SECONDS,
    choose_kind,
    click,
    pixels,
    press,
    require_message,
    sample_photo,
    source,
    tinted,
    wait_for_new,
)
from tests.spaces.test_photo_tab import download

VIEW = "#photo-view"
CUP = (290, 225)

SCREEN = {"width": 1280, "height": 800}
STAYING = "#photo-view, .tools .kind, .tools button, .tools input, #photo-other, #photo-hover"
PLACES = """where => [...document.querySelectorAll(where)].filter(one => one.offsetParent
  && !one.closest('.thumbnails, .grid-wrap, .objects, .review .wrap')).map(one => {
    const box = one.getBoundingClientRect();
    return [one.id || one.innerText, box.left, box.top + scrollY, box.width, box.height]; })"""

CLICK_WHILE_LOADING = """([where, kind, x, y]) => {
  const image = document.querySelector(where + ' img'), address = image.src + '?again';
  image.removeAttribute('src');
  image.src = address;
  if (image.naturalWidth) throw new Error('The picture is there already.');
  const place = { bubbles: true, cancelable: true, clientX: x, clientY: y };
  image.dispatchEvent(new MouseEvent(kind, place));
  return image.getAttribute('src'); }"""


@pytest.fixture
def photo(page):
    page.set_viewport_size(SCREEN)
    sample_photo(page)
    return page


def on_screen(page, xy):
    return page.wait_for_function(CORNERS, arg=[VIEW, *xy], timeout=SECONDS).json_value()


def drag(page, first, second):
    before = source(page, VIEW)
    (x0, y0), (x1, y1) = on_screen(page, first), on_screen(page, second)
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    assert page.locator(".sam2-box").is_visible()
    page.mouse.move(x1, y1)
    page.mouse.up()
    return wait_for_new(page, VIEW, before)


def with_button(page, xy, **how):
    before = source(page, VIEW)
    page.mouse.click(*on_screen(page, xy), **how)
    return wait_for_new(page, VIEW, before)


def annotations(page, folder):
    return json.loads(download(page, "COCO JSON", folder).read_text())["annotations"]


def test_nothing_moves_under_the_cursor_whatever_is_done(photo, tmp_path):
    at_first = photo.evaluate(PLACES, STAYING)
    steps = {
        "click": lambda: click(photo, VIEW, CUP),
        "right click": lambda: with_button(photo, (430, 60), button="right"),
        "new object": lambda: press(photo, "#photo-new", VIEW),
        "drag": lambda: drag(photo, (30, 300), (150, 390)),
        "download": lambda: download(photo, "Mask PNG", tmp_path),
        "corner": lambda: (choose_kind(photo, "photo", "Box corner"), click(photo, VIEW, (9, 9))),
        "undo": lambda: press(photo, "#photo-undo", VIEW),
        "start over": lambda: press(photo, "#photo-clear", VIEW),
    }

    assert len(at_first) > 12
    for name, step in steps.items():
        step()
        assert photo.evaluate(PLACES, STAYING) == at_first, name


def test_a_drag_is_a_box_and_a_right_or_shift_click_excludes(photo, tmp_path):
    drag(photo, (170, 10), (430, 380))
    (boxed,) = annotations(photo, tmp_path)
    with_button(photo, (500, 60), button="right")
    photo.keyboard.down("Shift")
    with_button(photo, (60, 60))
    photo.keyboard.up("Shift")
    (excluded,) = annotations(photo, tmp_path)

    assert np.allclose(boxed["prompt_boxes"], [[170, 10, 430, 380]], atol=1.1)
    assert boxed["prompt_points"] == []  # the click that ends a drag is none
    assert [sign for _, _, sign in excluded["prompt_points"]] == [0, 0]
    assert np.allclose(
        [point[:2] for point in excluded["prompt_points"]], [[500, 60], [60, 60]], atol=1.1
    )


@pytest.mark.parametrize("kind", ["click", "contextmenu"])
def test_a_click_on_a_picture_that_is_still_loading_counts(photo, tmp_path, kind):
    x, y = on_screen(photo, CUP)
    loading = photo.evaluate(CLICK_WHILE_LOADING, [VIEW, kind, x, y])

    if kind == "click":
        wait_for_new(photo, VIEW, loading)
        (clicked,) = annotations(photo, tmp_path)
        assert np.allclose(clicked["prompt_points"], [[*CUP, 1]], atol=1.1)
    else:
        require_message(photo, "Click on the object first")


def test_a_photo_is_clicked_by_arrow_keys_and_enter(photo, tmp_path):
    photo.locator("#photo-name textarea, #photo-name input").first.focus()
    picture = photo.locator(f"{VIEW} button:has(.image-frame)")
    picture.focus()
    photo.locator(".sam2-cross").wait_for(state="attached", timeout=SECONDS)
    middle = cross_of(photo)
    for name in ("ArrowLeft", "ArrowUp", "Shift+ArrowUp"):
        photo.keyboard.press(name)
    aimed = cross_of(photo)
    key(photo, "Enter")
    key(photo, "Shift+ArrowDown", "Shift+Enter")
    shown = source(photo, VIEW)
    photo.keyboard.press("Tab")
    photo.wait_for_timeout(300)

    (clicked,) = annotations(photo, tmp_path)
    step = 600 / 40
    assert aimed == pytest.approx([middle[0] - step, middle[1] - step - 1], abs=0.6)
    assert np.allclose(
        clicked["prompt_points"],
        [[300 - step, 200 - step - 1, 1], [300 - step, 200 - step, 0]],
        atol=0.6,
    )
    assert photo.locator(".sam2-cross, .sam2-keys").count() == 0
    assert source(photo, VIEW) == shown  # Tab leaves the picture and clicks nothing


def key(page, *keys):
    """Press keys, the last of which changes the picture."""
    before = source(page, VIEW)
    for name in keys:
        page.keyboard.press(name)
    return wait_for_new(page, VIEW, before)


def cross_of(page):
    """Return where the crosshair is, in pixels of the screen."""
    box = page.locator(".sam2-cross").evaluate("cross => cross.getBoundingClientRect().toJSON()")
    return [box["left"], box["top"]]


def test_the_mask_under_the_cursor_is_previewed_until_it_is_switched_off(photo):
    shown = source(photo, VIEW)
    x, y = on_screen(photo, CUP)
    photo.mouse.move(x - 9, y)
    photo.mouse.move(x, y)
    preview = photo.locator(f"{VIEW} img.sam2-preview")
    preview.wait_for(timeout=SECONDS)
    place, view = preview.bounding_box(), photo.locator(f"{VIEW} img").first.bounding_box()
    photo.mouse.move(5, 5)
    preview.wait_for(state="detached", timeout=SECONDS)

    photo.locator("#photo-hover input").uncheck()
    photo.mouse.move(x, y)
    photo.wait_for_timeout(600)

    assert preview.count() == 0
    assert place == pytest.approx(view, abs=1)
    assert source(photo, VIEW) == shown  # nothing was clicked


def test_the_first_corner_of_a_box_looks_like_a_corner(photo):
    choose_kind(photo, "photo", "Box corner")
    plain = pixels(photo, VIEW)

    marked = tinted(plain, click(photo, VIEW, (100, 100)))

    arms = marked[100, 104:130].mean(), marked[104:130, 100].mean()
    assert min(arms) > 0.9
    assert not marked[70:95, 95:105].any()  # a plus would have arms up and to the left as well
    assert not marked[95:105, 70:95].any()


def test_a_small_photo_is_enlarged_and_clicked_where_it_is_seen(page, tmp_path):
    small = Image.open(ROOT / "spaces/samples/coffee.jpg").resize((90, 60))
    small.save(tmp_path / "small.png")
    page.set_input_files("#photo-input input[type=file]", tmp_path / "small.png")
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)
    shown = pixels(page, VIEW).shape

    click(page, VIEW, (44 * 640 / 90, 34 * 640 / 90))
    (record,) = annotations(page, tmp_path)

    assert shown == (427, 640, 3)
    assert np.allclose(record["prompt_points"], [[44, 34, 1]], atol=0.2)
    assert record["segmentation"]["size"] == [60, 90]  # results have the photo's own size


def test_a_cutout_has_the_background_that_was_chosen(photo, tmp_path):
    click(photo, VIEW, CUP)
    inside = np.asarray(Image.open(download(photo, "Mask PNG", tmp_path))) > 0
    original = np.asarray(Image.open(ROOT / "spaces/samples/coffee.jpg").convert("RGB")).astype(int)
    cut = {}
    for background in ("Transparent", "White", "Blurred", "Custom color"):
        photo.get_by_label("Cutout background").click()
        photo.get_by_role("option", name=background).click()
        cut[background] = Image.open(download(photo, "Cutout PNG", tmp_path))
        cut[background].load()
    far = ~np.asarray(Image.fromarray(inside).resize((600, 400))) & ~_near(inside)
    deep = ~_near(~inside)

    assert cut["Transparent"].mode == "RGBA"
    opacity = np.asarray(cut["Transparent"])[..., 3]
    assert (opacity[far] == 0).all()
    assert (opacity[deep] == 255).all()
    assert (np.asarray(cut["White"])[far] == 255).all()
    assert (np.asarray(cut["Custom color"])[far] == (0, 0xB1, 0x40)).all()
    blurred = np.asarray(cut["Blurred"]).astype(int)
    assert np.abs(np.diff(blurred, axis=1))[far[:, 1:]].mean() < 0.5 * (
        np.abs(np.diff(original, axis=1))[far[:, 1:]].mean()
    )
    for picture in cut.values():
        assert (np.asarray(picture.convert("RGB"))[deep] == original[deep]).all()


def _near(mask_hw, reach=4):
    """Grow a mask, so that its soft edge does not count."""
    grown = mask_hw.copy()
    for _ in range(reach):
        grown[1:] |= grown[:-1].copy()
        grown[:-1] |= grown[1:].copy()
        grown[:, 1:] |= grown[:, :-1].copy()
        grown[:, :-1] |= grown[:, 1:].copy()
    return grown


def test_on_a_phone_the_candidates_and_downloads_are_on_the_screen_after_a_click(browser, server):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    phone = context.new_page()
    phone.goto(server.address)
    phone.wait_for_selector("#photo-input")
    sample_photo(phone)
    hint = phone.locator("#photo-hint").bounding_box()

    phone.touchscreen.tap(*on_screen(phone, CUP))
    phone.locator("#photo-candidates button.thumbnail-item").last.wait_for(timeout=SECONDS)
    boxes = [
        one.bounding_box()
        for one in phone.locator("#photo-candidates .thumbnail-item, #photo-downloads button").all()
    ]

    assert phone.evaluate("scrollY") == 0
    assert len(boxes) == 7
    assert all(box["y"] > 0 and box["y"] + box["height"] <= 844 for box in boxes)
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert phone.locator("#photo-hint").bounding_box() == hint
    context.close()
