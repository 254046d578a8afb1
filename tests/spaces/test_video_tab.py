"""The tab for videos and the webcam, in a browser: click, track, look, correct, track again."""

import json
import zipfile

import av
import numpy as np
from PIL import Image

from sam2_hf import rle
from sam2_hf.writers.mp4 import video_writer
from tests.camera_film import SAMPLE as CLIP
from tests.spaces.looking import (
    SECONDS,
    choose_kind,
    click,
    coarse,
    pixels,
    press,
    share_around,
    shoot,
    source,
    tinted,
    wait_for_new,
)

VIEW = "#video-view"
CUP, CAT = (95, 238), (389, 119)
CAT_LATE = (106, 152)  # where it is on a late frame
NUM_FRAMES = 48
LATE = 40
MASK_BLUE = 40  # levels of 255 by which a mask adds more blue than red, at least

WIDTHS = """async (where) => {
  const widths = [];
  for (let number = 0; number < 30; number++) {
    widths.push(document.querySelector(where).naturalWidth);
    await new Promise((done) => setTimeout(done, 50));
  }
  return widths; }"""


def open_sample(page):
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-samples .gallery-item").first.click()
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)
    return pixels(page, VIEW)


def upload_clip(page, clip=CLIP):
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#video-input input[type=file]", clip)
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)
    return pixels(page, VIEW)


def longer_clip(folder):
    """Show the sample four times over, so that tracking it lasts until somebody stops it."""
    frames = read_video(CLIP)
    with video_writer(folder / "longer.mp4", fps=25) as writer:
        for frame_hw3 in [*frames, *frames[::-1]] * 2:
            writer.write(frame_hw3.astype(np.uint8))
    return folder / "longer.mp4"


def scrub(page, frame):
    before = source(page, VIEW)
    page.locator("#video-frame input[type=number]").fill(str(frame))
    page.locator("#video-frame input[type=number]").press("Tab")
    return wait_for_new(page, VIEW, before)


def track(page, course=None):
    if course is not None:
        page.locator("#video-course input").click()
        page.get_by_role("option", name=course).click()
    page.locator("#video-track").click()
    page.locator("#video-status progress").wait_for(timeout=SECONDS)
    page.locator("#video-status", has_text="frames tracked").wait_for(timeout=2 * SECONDS)
    return page.locator("#video-status").inner_text()


def download(page, label, folder):
    button = page.get_by_role("button", name=label).or_(page.get_by_role("link", name=label))
    with page.expect_download(timeout=SECONDS) as started:
        button.first.click()
    started.value.save_as(folder / started.value.suggested_filename)
    return folder / started.value.suggested_filename


def read_video(path):
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_two_objects_are_tracked_corrected_tracked_again_and_downloaded(page, tmp_path):
    first = upload_clip(page)
    plain_late = scrub(page, LATE)
    scrub(page, 0)
    cup = click(page, VIEW, CUP)
    press(page, "#video-new", VIEW)
    both = click(page, VIEW, CAT)
    text = track(page)
    tracked = read_video(download(page, "Video MP4", tmp_path))

    assert share_around(tinted(first, cup), CUP) > 0.6
    assert not tinted(first, cup)[: CAT[1] + 20, CAT[0] - 20 : CAT[0] + 20].any()
    assert share_around(tinted(first, both), CAT) > 0.6
    assert text.startswith(f"{NUM_FRAMES} frames tracked")
    assert len(tracked) == NUM_FRAMES
    assert all(frame.shape == first.shape for frame in tracked)
    assert tinted(plain_late, tracked[LATE]).mean() > 0.02

    page.locator("#video-curve canvas, #video-curve svg").first.wait_for(timeout=SECONDS)
    assert page.locator("#video-review label").count() >= 1
    late = scrub(page, LATE)
    # The page shows what the video shows.
    assert tinted(coarse(late), coarse(tracked[LATE])).mean() < 0.02
    corrected = click(page, VIEW, CAT_LATE)
    assert share_around(tinted(late, corrected), CAT_LATE) > 0.5

    track(page)
    again = read_video(download(page, "Video MP4", tmp_path))
    assert share_around(tinted(tracked[LATE], again[LATE]), CAT_LATE) > 0.5  # it is kept
    # It is carried on to the frames after it.
    assert tinted(coarse(tracked[LATE + 3]), coarse(again[LATE + 3])).mean() > 0.01
    check_masks(page, tmp_path)


def check_masks(page, folder):
    """The archive and the run lengths tell the same masks."""
    masklets = json.loads(download(page, "RLE JSON", folder).read_text())
    assert (masklets["masklet_id"], masklets["video_frame_count"]) == ([1, 2], NUM_FRAMES)
    with zipfile.ZipFile(download(page, "Masks ZIP", folder)) as archive:
        assert len(archive.namelist()) == NUM_FRAMES
        labels = np.asarray(Image.open(archive.open(f"{LATE:05d}.png")))
    one, two = (rle.decode(rle.from_coco(m)) for m in masklets["masklet"][LATE])
    assert np.array_equal(labels == 1, one)
    assert np.array_equal(labels == 2, two & ~one)


def test_a_box_in_the_middle_is_tracked_both_ways_and_stopping_keeps_what_is_done(page, tmp_path):
    upload_clip(page, longer_clip(tmp_path))
    plain = scrub(page, 20)
    choose_kind(page, "video", "Box corner")
    click(page, VIEW, (150, 130))
    boxed = click(page, VIEW, (300, 270))
    assert tinted(plain, boxed).mean() > 0.02

    page.locator("#video-course input").click()
    page.get_by_role("option", name="both ways").click()
    page.locator("#video-track").click()
    page.locator("#video-status progress").wait_for(timeout=SECONDS)
    page.locator("#video-stop").click()
    page.locator("#video-status", has_text="tracked frames are kept").wait_for(timeout=SECONDS)
    done = int(page.locator("#video-status").inner_text().split()[0])

    assert 0 < done < 4 * NUM_FRAMES
    assert len(read_video(download(page, "Video MP4", tmp_path))) == done
    undone = press(page, "#video-undo", VIEW)
    assert undone.shape == plain.shape


def test_a_second_job_waits_and_is_told_its_place_while_clicks_are_answered(
    page, browser, server, tmp_path
):
    context = browser.new_context()
    context.set_default_timeout(SECONDS)
    second = context.new_page()
    second.goto(server.address)
    upload_clip(page, longer_clip(tmp_path))
    open_sample(second)
    for one in (page, second):
        click(one, VIEW, CUP)

    page.locator("#video-track").click()
    page.locator("#video-status progress").wait_for(timeout=SECONDS)
    second.locator("#video-track").click()
    second.locator("#video-busy", has_text="queue: 1/1").wait_for(timeout=SECONDS)
    click(second, VIEW, (110, 250))

    assert page.locator("#video-status progress").count() == 1  # the first one is still at it
    page.locator("#video-stop").click()
    second.locator("#video-status progress").wait_for(timeout=SECONDS)
    second.locator("#video-stop").click()
    context.close()


def test_what_is_clicked_in_the_webcam_is_followed(page):
    page.get_by_role("tab", name="Live").click()
    shoot(page, "#live-camera")
    page.wait_for_selector("#live-view img", timeout=SECONDS)
    before = pixels(page, "#live-view")
    cup, cat = ((before.shape[1] - x, y) for x, y in (CUP, CAT))  # the page shows a mirror
    click(page, "#live-view", cup)
    page.locator("#live-status", has_text="Following object 1").wait_for(timeout=SECONDS)
    after = [wait_for_new(page, "#live-view", source(page, "#live-view")) for _ in range(3)]

    # A mask is blue. The picture moves a little, the cup and the cat are larger.
    assert all(share_around(is_bluer(before, one), cup) > 0.6 for one in after)
    assert all(share_around(is_bluer(before, one), cat) < 0.2 for one in after)


def test_the_webcam_is_shown_over_a_slow_connection(page):
    page.get_by_role("tab", name="Live").click()
    slow = {"latency": 600, "downloadThroughput": 1e6, "uploadThroughput": 1e6, "offline": False}
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    shoot(page, "#live-camera")
    page.wait_for_selector("#live-view img", timeout=SECONDS)
    for _ in range(3):
        wait_for_new(page, "#live-view", source(page, "#live-view"))

    widths = page.evaluate(WIDTHS, "#live-view img")

    assert set(widths) == {480}


def is_bluer(before_hw3, after_hw3):
    """Tell which pixels have gained more blue than red: `(height, width)`."""
    gained_hw3 = after_hw3 - before_hw3
    return gained_hw3[..., 2] - gained_hw3[..., 0] > MASK_BLUE
