"""Files that cannot be used: a readable message, and the page goes on with what it had."""

from itertools import product

import httpx
import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import VideoError
from sam2_hf.writers.mp4 import video_writer
from sam2_space.limits import LimitError, Limits
from tests.spaces.looking import SECONDS, click, require_message, sample_photo, share_around, tinted

PLAY_LISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
}
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


def test_bad_photos_leave_the_one_that_is_there(page, files):
    plain = sample_photo(page)
    page.locator("#photo-other").click()

    for name, expected in (
        ("empty.png", "empty (0 bytes)"),
        ("text.png", "not a picture"),
        ("huge.png", "60.0 megapixels (10000 x 6000); 50 are allowed"),
    ):
        page.set_input_files("#photo-input input[type=file]", files / name)
        require_message(page, expected)

    assert share_around(tinted(plain, click(page, VIEW, CUP)), CUP) > 0.6


def test_bad_videos_are_refused_and_a_good_one_taken_after_them(page, files):
    page.get_by_role("tab", name="Video").click()

    for name, expected in (
        ("text.mp4", "not a video"),
        ("empty.mp4", "empty (0 bytes)"),
        ("long.mp4", "12 seconds long; 8 are allowed"),
        ("wide.mp4", "2500 x 64 pixels; 1920 a side are allowed"),
    ):
        page.set_input_files("#video-input input[type=file]", files / name)
        require_message(page, expected)

    page.locator("#video-samples .gallery-item").first.click()
    page.wait_for_selector("#video-view img", timeout=SECONDS)


@pytest.mark.parametrize("kind", PLAY_LISTS)
@pytest.mark.parametrize("ending", ["m3u8", "ffconcat", "txt", "mp4"])
@pytest.mark.parametrize("start", ["", "file://"])
def test_the_head_of_a_play_list_opens_no_file_of_the_server(files, tmp_path, kind, ending, start):
    path = tmp_path / f"list.{ending}"
    # 2500 pixels wide: if the video behind the list were opened, a limit would tell of it
    path.write_text(PLAY_LISTS[kind].format(f"{start}{files / 'wide.mp4'}"))
    with pytest.raises(LimitError, match="2500 x 64"):
        Limits().check_video_file(files / "wide.mp4")

    with pytest.raises(VideoError, match="not a video that can be read") as refusal:
        Limits().check_video_file(path)

    assert str(tmp_path) not in str(refusal.value)


def test_nothing_of_a_file_of_the_server_comes_out_through_a_play_list(server, tmp_path):
    secret = tmp_path / "secret.mp4"
    with video_writer(secret, fps=5) as writer:
        for _ in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8))

    assert "event: complete" in _track(server, "film.mp4", secret.read_bytes())
    for kind, ending in product(PLAY_LISTS, ("m3u8", "ffconcat", "mp4")):
        listed = _track(server, f"list.{ending}", PLAY_LISTS[kind].format(secret).encode())
        assert "event: error" in listed, (kind, ending)
        assert "event: complete" not in listed, (kind, ending)
        assert ".mp4" not in listed, (kind, ending)
        assert str(tmp_path) not in listed, (kind, ending)


def _track(server, name, content):
    """Upload a file as a visitor without the page, have it tracked, and return what is said."""
    with httpx.Client(base_url=server.address, timeout=120) as visitor:
        visitor.get("/")
        answer = visitor.post("/gradio_api/upload", files={"files": (name, content)})
        file = {
            "path": answer.json()[0],
            "orig_name": name,
            "meta": {"_type": "gradio.FileData"},
        }
        prompts = [{"frame": 0, "object_id": 1, "points": [[30, 20]]}]
        job = visitor.post(
            "/gradio_api/call/track", json={"data": [file, prompts, "forward"]}
        ).json()
        return visitor.get(f"/gradio_api/call/track/{job['event_id']}").text


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
