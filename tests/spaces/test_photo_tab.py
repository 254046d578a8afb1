"""The tab for photos, in a browser: what is clicked changes where it was clicked."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_hf import rle
from tests.camera_film import shaken_cup
from tests.spaces.looking import (
    SECONDS,
    choose_kind,
    click,
    pixels,
    press,
    sample_photo,
    share_around,
    shoot,
    source,
    tinted,
    wait_for_new,
)

VIEW = "#photo-view"
CUP = (290, 225)


def test_an_uploaded_photo_is_clicked_corrected_and_undone(page, tmp_path):
    photo = tmp_path / "my cup.png"
    Image.open(Path(__file__).parents[2] / "spaces/samples/coffee.jpg").save(photo)
    page.set_input_files("#photo-input input[type=file]", photo)
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)
    plain = pixels(page, VIEW)

    clicked = click(page, VIEW, CUP)
    mask = tinted(plain, clicked)
    choose_kind(page, "photo", "Exclude")
    wrong = farthest(mask, CUP)
    corrected = click(page, VIEW, wrong)
    undone = press(page, "#photo-undo", VIEW)

    assert share_around(mask, CUP) > 0.6
    assert 0.02 < mask.mean() < 0.7
    assert share_around(mask, wrong) > 0.6 > share_around(tinted(plain, corrected), wrong)
    assert not tinted(clicked, undone).any()


def farthest(mask, xy):
    """Find a pixel well inside a mask, far away from a click."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    distance = np.hypot(columns - xy[0], rows - xy[1])
    inner = [
        (distance[y, x], x, y)
        for y in range(40, mask.shape[0] - 40, 12)
        for x in range(40, mask.shape[1] - 40, 12)
        if share_around(mask, (x, y)) > 0.85
    ]
    _, x, y = max(inner)
    return int(x), int(y)


def test_two_corners_make_a_box_and_its_object(page):
    plain = sample_photo(page)
    choose_kind(page, "photo", "Box corner")

    click(page, VIEW, (170, 10))
    boxed = click(page, VIEW, (430, 380))

    changed = tinted(plain, boxed)
    assert changed[12:378, 172:428].mean() > 0.2
    assert changed[:, :150].mean() < 0.1
    assert changed[100:300, 168:173].any(axis=1).mean() > 0.9  # its left side is drawn


def test_another_reading_of_a_click_can_be_chosen(page):
    plain = sample_photo(page)
    first = tinted(plain, click(page, VIEW, CUP))
    thumbnails = page.locator("#photo-candidates button.thumbnail-item")
    thumbnails.last.wait_for(timeout=SECONDS)
    texts = [one.inner_text() for one in thumbnails.all()]

    other = press(page, "#photo-candidates button.thumbnail-item >> nth=2", VIEW)

    assert [text.split(" · ")[0] for text in texts] == ["A", "B", "C"]
    assert all(0 <= float(text.split(" · ")[1]) <= 1 for text in texts)
    assert tinted(plain, other).mean() > 1.5 * first.mean() or (
        tinted(plain, other).mean() < first.mean() / 1.5
    )


def test_objects_are_named_colored_and_downloaded(page, tmp_path):
    sample_photo(page)
    click(page, VIEW, CUP)
    press(page, "#photo-new", VIEW)
    two = click(page, VIEW, (500, 100))
    page.locator("#photo-name input, #photo-name textarea").fill("table <b>top</b>")
    page.locator("#photo-name input, #photo-name textarea").press("Enter")
    page.get_by_text("2 · table <b>top</b>").wait_for(timeout=SECONDS)

    files = download_all(page, tmp_path)

    assert sorted(files) == ["coffee_coco.json", "coffee_mask.png", "coffee_overlay.png"]
    records = json.loads(files["coffee_coco.json"].read_text())["annotations"]
    assert [one["name"] for one in records] == ["object", "table <b>top</b>"]
    labels = np.asarray(Image.open(files["coffee_mask.png"]))
    assert labels.shape == (400, 600)
    assert set(np.unique(labels)) == {0, 1, 2}
    overlay = np.asarray(Image.open(files["coffee_overlay.png"]).convert("RGB")).astype(int)
    assert np.abs(overlay - two).mean() < 6  # as on the page, which shows a JPEG


def download(page, label, folder):
    """Press a button that writes a file and saves it, in one step."""
    with page.expect_download(timeout=SECONDS) as started:
        page.locator("#photo-downloads").get_by_role("button", name=label).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def download_all(page, folder):
    """Save each file; by name."""
    paths = [download(page, label, folder) for label in ("Overlay PNG", "Mask PNG", "COCO JSON")]
    return {path.name: path for path in paths}


def test_everything_in_the_photo_is_found_and_its_masks_are_picked_by_clicks(page, tmp_path):
    plain = sample_photo(page)
    before = source(page, VIEW)
    page.get_by_text("Everything in the photo").click()

    page.locator("#photo-everything").click()
    found = wait_for_new(page, VIEW, before)
    told = int(page.locator("#photo-status").inner_text().split(" masks")[0])
    everything = json.loads(download(page, "COCO JSON", tmp_path).read_text())["annotations"]
    click(page, VIEW, CUP)
    click(page, VIEW, (70, 350))
    picked = json.loads(download(page, "COCO JSON", tmp_path).read_text())["annotations"]
    left = press(page, "#photo-new", VIEW)

    assert told > 10
    assert tinted(plain, found).mean() > 0.4
    assert len(everything) == told
    assert len(picked) == 2
    by_click = {tuple(mask["point_coords"][0]): mask for mask in everything}
    for record, xy in zip(picked, (CUP, (70, 350)), strict=True):
        x, y, _ = record["prompt_points"][0]
        mask = by_click[x, y]
        assert rle.decode(rle.from_coco(mask["segmentation"]))[xy[1], xy[0]]
        assert iou(mask, record) > 0.9  # the click's best candidate is the mask that was found
    assert tinted(plain, left).mean() < tinted(plain, found).mean()


def iou(*records):
    one, other = (rle.decode(rle.from_coco(record["segmentation"])) for record in records)
    return (one & other).sum() / (one | other).sum()


def test_a_click_can_be_typed_and_buttons_pressed_by_keyboard_alone(page):
    plain = sample_photo(page)
    before = source(page, VIEW)
    panel = page.get_by_role("tabpanel").filter(visible=True)
    panel.get_by_role("button", name="Type a click instead").focus()
    page.keyboard.press("Enter")
    panel.get_by_label("x, from the left").fill(str(CUP[0]))
    panel.get_by_label("y, from the top").fill(str(CUP[1]))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    typed = wait_for_new(page, VIEW, before)

    page.locator("#photo-undo").focus()
    before = source(page, VIEW)
    page.keyboard.press("Enter")

    assert share_around(tinted(plain, typed), CUP) > 0.6
    assert not tinted(plain, wait_for_new(page, VIEW, before)).any()


def test_a_phone_needs_no_scrolling_sideways(browser, server):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    phone = context.new_page()
    phone.goto(server.address)
    phone.wait_for_selector("#photo-input")
    plain = sample_photo(phone)

    clicked = click(phone, VIEW, CUP)

    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert share_around(tinted(plain, clicked), CUP) > 0.6
    context.close()


def test_a_large_photo_is_clicked_where_it_is_seen_and_answered_at_its_own_size(page, tmp_path):
    small = Image.open(Path(__file__).parents[2] / "spaces/samples/coffee.jpg")
    small.resize((2400, 1600)).save(tmp_path / "large.jpg")
    page.set_input_files("#photo-input input[type=file]", tmp_path / "large.jpg")
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)
    assert "downscaled to 2048 x 1365 pixels" in page.locator("#photo-hint").inner_text()
    plain = pixels(page, VIEW)
    spot = (CUP[0] * 1280 // 600, CUP[1] * 853 // 400)

    clicked = click(page, VIEW, spot)
    files = download_all(page, tmp_path)

    assert plain.shape == (853, 1280, 3)
    assert (
        tinted(plain, clicked)[spot[1] - 60 : spot[1] + 60, spot[0] - 60 : spot[0] + 60].mean()
        > 0.6
    )
    assert np.asarray(Image.open(files["large_mask.png"])).shape == (1365, 2048)
    record = json.loads(files["large_coco.json"].read_text())["annotations"][0]
    x, y, _ = record["prompt_points"][0]
    assert abs(x - spot[0] * 1.6) < 3
    assert abs(y - spot[1] * 1.6) < 3


def test_a_webcam_shot_becomes_the_photo(page):
    page.locator("#photo-input [data-testid=source-select] button").nth(1).click()
    shoot(page, "#photo-input")
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)

    shot = pixels(page, VIEW)
    filmed = shaken_cup().values()

    assert max(likeness(one, shot) for one in filmed) > 0.97  # a camera has its own contrast
    assert max(likeness(one[:, ::-1], shot) for one in filmed) < 0.8  # left stays left


def likeness(one_hw3, other_hw3):
    """Correlate the levels of two pictures."""
    return np.corrcoef(one_hw3.ravel(), other_hw3.ravel())[0, 1]
