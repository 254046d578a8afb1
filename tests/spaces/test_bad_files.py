"""Files that cannot be used: a readable message, and the page goes on with what it had."""

import numpy as np
import pytest
from PIL import Image

from sam2_hf.pipelines.video_writer import video_writer
from tests.spaces.looking import SECONDS, click, require_message, sample_photo, share_around, tinted

VIEW = "#photo-view"
CUP = (290, 225)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not a picture at all")
    (folder / "text.mp4").write_text("not a video at all\n" * 100)
    (folder / "empty.mp4").write_bytes(b"")
    Image.new("L", (10_000, 6_000)).save(folder / "huge.png")
    with video_writer(folder / "long.mp4", fps=5) as writer:
        for _ in range(60):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    with video_writer(folder / "wide.mp4", fps=5) as writer:
        writer.write(np.zeros((64, 2500, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("empty.png", "empty (0 bytes)"),
        ("text.png", "not a picture"),
        ("huge.png", "60.0 megapixels (10000 x 6000); 50 are allowed"),
    ],
)
def test_a_bad_photo_leaves_the_one_that_is_there(page, files, name, expected):
    plain = sample_photo(page)
    page.locator("#photo-other").click()

    page.set_input_files("#photo-input input[type=file]", files / name)

    require_message(page, expected)
    assert share_around(tinted(plain, click(page, VIEW, CUP)), CUP) > 0.6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text.mp4", "not a video"),
        ("empty.mp4", "empty (0 bytes)"),
        ("long.mp4", "12 seconds long; 8 are allowed"),
        ("wide.mp4", "2500 x 64 pixels; 1920 a side are allowed"),
    ],
)
def test_a_bad_video_is_refused_and_a_good_one_taken_after_it(page, files, name, expected):
    page.get_by_role("tab", name="Video").click()

    page.set_input_files("#video-input input[type=file]", files / name)

    require_message(page, expected)
    page.locator("#video-samples .gallery-item").first.click()
    page.wait_for_selector("#video-view img", timeout=SECONDS)


def test_a_file_that_is_too_large_is_refused_before_it_is_stored(page, server, tmp_path):
    (tmp_path / "large.png").write_bytes(b"\x89PNG" + bytes(21_000_000))

    page.set_input_files("#photo-input input[type=file]", tmp_path / "large.png")

    require_message(page, "size")
    sizes = [path.stat().st_size for path in server.files.rglob("*") if path.is_file()]
    assert max(sizes) < 1_000_000


def test_the_limits_are_told_before_anybody_meets_them(page):
    panel = page.get_by_role("tabpanel").filter(visible=True)
    assert "20 MB and 50 megapixels, 3 objects" in panel.locator(".limits.prose").inner_text()

    page.get_by_role("tab", name="Video").click()

    told = page.get_by_role("tabpanel").filter(visible=True).locator(".limits.prose").inner_text()
    assert "20 MB, 8 seconds" in told
    assert "1 job runs at a time" in told
