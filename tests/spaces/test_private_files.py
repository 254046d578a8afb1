"""Visitors are kept apart: nobody sees, fetches or names what is another one's."""

import re
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from evaluation.space_load.visitor import SpaceVisitor, VisitError
from tests.spaces.conftest import ROOT
from tests.spaces.looking import SECONDS, click, require_message, sample_photo, source

VIEW = "#photo-view"
COOKIE = "sam2_space_visitor"
CUP = ROOT / "spaces/samples/coffee.jpg"


def upload(server, name="cup.jpg", content=None, cookie=None):
    """Upload as a browser does; return the cookie and what the file is called."""
    cookies = {} if cookie is None else {COOKIE: cookie}
    with httpx.Client(base_url=server.address, cookies=cookies) as client:
        sent = {"files": (name, content or CUP.read_bytes())}
        answer = client.post("gradio_api/upload", files=sent)
        assert answer.status_code == 200
        return client.cookies[COOKIE], answer.json()[0]


def fetch(server, shown, cookie=None):
    headers = {} if cookie is None else {"cookie": f"{COOKIE}={cookie}"}
    return httpx.get(f"{server.address}gradio_api/file={shown}", headers=headers)


def call(server, name, data, cookie):
    """Call an endpoint over bare HTTP; return everything that came back."""
    headers = {"cookie": f"{COOKIE}={cookie}"}
    address = f"{server.address}gradio_api/call/{name}"
    begun = httpx.post(address, json={"data": data}, headers=headers)
    if begun.status_code != 200:
        return begun.text
    with httpx.stream(
        "GET", f"{address}/{begun.json()['event_id']}", headers=headers, timeout=60
    ) as answer:
        return begun.text + answer.read().decode()


def as_file(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "cup.jpg"}


POINT = [{"points": [[290, 225]]}]


def test_an_upload_is_fetched_and_used_by_who_sent_it_and_nobody_else(server):
    mine, shown = upload(server)
    other, _ = upload(server)

    assert fetch(server, shown, mine).content == CUP.read_bytes()
    for cookie in (other, None, "0" * 32, "../" * 4):
        assert fetch(server, shown, cookie).status_code == 403
    assert "not yours" in call(server, "segment", [as_file(shown), POINT], other)
    assert "annotations" in call(server, "segment", [as_file(shown), POINT], mine)
    assert fetch(server, shown, mine).status_code in (403, 404)  # it has been read, and deleted


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{files}/samples/../../../../../../etc/passwd",
        "/space-files/samples/../../../../../../../etc/passwd",
        "/space-files/samples/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/space-files/{own}/../samples/../../../../../../../etc/passwd",
        f"{ROOT}/pyproject.toml",
        "http://127.0.0.1:1/x",
        "%00",
    ],
)
def test_no_way_leads_out_of_ones_own_files(server, path):
    cookie, shown = upload(server)
    asked = path.format(files=server.files, own=shown.split("/")[2])

    answer = fetch(server, asked, cookie)

    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    said = call(server, "segment", [as_file(asked), POINT], cookie)
    assert "annotations" not in said
    assert "not yours" in said


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"x": {"path": "\\u0000"}, "data": [{"path": "/etc/passwd"}, []]}', "application/json"),
        ('{"data": [{"path": "/etc/passwd"}, []]}', "application/JSON"),
        ('{"data": [{"path": "/etc/passwd"}, []]}', "text/plain"),
        ('{"a": ' * 400 + '{"path": "/etc/passwd"}' + "}" * 400, "application/json"),
    ],
)
def test_the_check_of_paths_cannot_be_switched_off(server, body, kind):
    address = f"{server.address}gradio_api/call/segment"

    answer = httpx.post(address, content=body, headers={"content-type": kind})

    assert answer.status_code == 403


def test_requests_that_are_too_large_are_refused(server):
    prompts = httpx.post(f"{server.address}gradio_api/call/segment", content=bytes(9 * 2**20))
    files = {"files": ("a.jpg", bytes(22_000_000))}
    uploaded = httpx.post(f"{server.address}gradio_api/upload", files=files)

    assert (prompts.status_code, uploaded.status_code) == (413, 413)


@pytest.mark.parametrize("many", ["{},", "[],", "1,", '"a",', '{"path":"a"},'])
def test_wide_json_is_refused_before_it_is_parsed(server, many):
    """One of 8 MB kept the server busy for half a minute, in which nobody else was answered."""
    wide = '{"data":[[' + many * (8 * 10**6 // len(many)) + "0]]}"
    started = time.monotonic()

    answer = httpx.post(f"{server.address}gradio_api/call/limits", content=wide, timeout=60)

    assert answer.status_code == 413
    assert time.monotonic() - started < 5


def test_as_many_clicks_as_a_video_may_have_are_not_too_wide(server):
    mine, shown = upload(server)
    prompts = [
        {"frame": number, "object_id": 1, "points": [[number, 10.5]], "labels": [1]}
        for number in range(1000)
    ]

    said = call(server, "track", [as_file(shown), prompts, "forward"], mine)

    assert "not a video" in said  # the prompts were read; a photo is none


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_json_does_not_have_are_refused(server, number):
    """Gradio would fail while it says so, and its web server log a page of traceback."""
    answer = httpx.post(
        f"{server.address}gradio_api/call/everything", content=f'{{"data": [{number}]}}'
    )

    assert (answer.status_code, answer.text) == (400, "This request is not JSON.")


def test_a_call_with_too_few_values_is_told_how_many_it_takes(server):
    mine, _ = upload(server)

    assert "0 values were sent, but this takes 2" in call(server, "segment", [], mine)


def test_pages_say_what_they_may_load_and_who_may_show_them(server):
    answer = httpx.get(server.address)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "route", ["process_recording", "component_server", "vibe-edit", "undo-vibe-edit"]
)
def test_what_the_page_does_not_need_is_closed(server, route):
    assert httpx.post(f"{server.address}gradio_api/{route}").status_code == 403
    for other in ("login", "gradio_api/api/segment", "gradio_api/queue/data", "anything"):
        assert httpx.post(f"{server.address}{other}", json={}).status_code == 404
    for other in ("monitoring", "monitoring/summary", "gradio_api/vibe-code"):
        assert httpx.get(f"{server.address}{other}").status_code == 403


def test_a_sample_cannot_be_taken_away_from_everybody(server):
    shown = "/space-files/samples/coffee.jpg"
    with SpaceVisitor(server.address) as visitor:
        for name, event in (("photo-input", "input"), ("video-input", "upload")):
            with pytest.raises(VisitError, match="not yours"):
                visitor.fire(name, event, [as_file(shown)])

    assert fetch(server, shown).content == CUP.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../../../evil.jpg",
        "..\\..\\evil.jpg",
        "<img src=x onerror=alert(1)>.jpg",
        ".jpg",
        "a" * 300,
    ],
)
def test_a_file_may_be_called_anything(server, name):
    cookie, shown = upload(server, name)

    answer = call(server, "segment", [{**as_file(shown), "orig_name": name}, POINT], cookie)

    assert re.fullmatch(r"/space-files/[0-9a-f]{32}/uploads/[0-9a-f]{32}(\.\w+)?", shown)
    files = re.findall(r'"path": ?"([^"]+)"', answer)
    assert len(files) == 2
    assert all(re.fullmatch(r"/space-files/[\w/ \-]+\.png", path) for path in files)
    assert not list(server.files.parent.rglob("evil*.jpg"))


def test_no_answer_tells_a_path_of_the_server(server):
    cookie, shown = upload(server)
    texts = [
        httpx.get(f"{server.address}{path}").text
        for path in ("", "config", "gradio_api/info", "gradio_api/startup-events")
    ]
    texts.append(call(server, "segment", [as_file(shown), POINT], cookie))
    texts.append(call(server, "segment", [as_file(shown), "nonsense"], cookie))
    for content in (b"", b"no picture"):
        _, bad = upload(server, content=content or b" ", cookie=cookie)
        texts.append(call(server, "segment", [as_file(bad), POINT], cookie))
        texts.append(call(server, "track", [as_file(bad), [{}], "both"], cookie))

    whole = "\n".join(texts)
    assert "/space-files/" in whole
    temporary = server.files.parents[1]  # the server's own folder lies there, too
    for secret in (str(server.files), str(temporary), str(ROOT), "site-packages"):
        assert secret not in whole


def test_a_second_browser_and_a_reload_see_nothing_of_the_first(page, browser, server):
    sample_photo(page)
    click(page, VIEW, (290, 225))
    mine = source(page, VIEW)
    context = browser.new_context()
    second = context.new_page()
    second.goto(server.address)
    second.wait_for_selector("#photo-input")

    assert second.locator(f"{VIEW} img").count() == 0
    assert second.request.get(mine).status == 403
    assert page.request.get(mine).status == 200
    context.close()

    page.reload()
    page.wait_for_selector("#photo-input", timeout=SECONDS)
    assert page.locator(f"{VIEW} img").count() == 0
    deadline = time.monotonic() + 30
    while page.request.get(mine).status == 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert page.request.get(mine).status in (403, 404)  # the visit has ended with the page


def test_markup_in_names_is_shown_and_not_run(page, tmp_path):
    evil = tmp_path / "<img src=x onerror=window.ran=1>.png"
    Image.open(CUP).save(evil)
    page.set_input_files("#photo-input input[type=file]", evil)
    page.wait_for_selector(f"{VIEW} img", timeout=SECONDS)
    click(page, VIEW, (290, 225))
    name = page.locator("#photo-name input, #photo-name textarea")
    name.fill("<img src=x onerror=window.ran=1>")
    name.press("Enter")
    page.get_by_text("1 · <img src=x").wait_for(timeout=SECONDS)

    with page.expect_download(timeout=SECONDS) as started:
        page.get_by_role("button", name="Overlay PNG").click()
    page.locator("#photo-status", has_text=started.value.suggested_filename).wait_for()

    assert page.evaluate("window.ran") is None


def test_a_page_that_is_left_idle_is_told_so(page):
    """A click without a photo, as after the visit was deleted, has a readable answer."""
    sample_photo(page)
    page.context.clear_cookies()  # as good as another visitor

    box = page.locator(f"{VIEW} img").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    require_message(page, "Allow cookies for this page")


def test_programs_call_the_endpoints_by_name(server, tmp_path):
    space = Client(server.address, download_files=tmp_path, verbose=False)
    told = space.predict(api_name="/limits")
    coco, overlay, mask = space.predict(handle_file(str(CUP)), POINT, api_name="/segment")
    found = space.predict(handle_file(str(CUP)), 8, 0.3, 0.0, api_name="/everything")
    clip = handle_file(str(ROOT / "spaces/samples/cup-and-cat.mp4"))
    prompts = [{"frame": 46, "object_id": 7, "points": [[380, 235]]}]
    masklets, video, pngs, review = space.predict(clip, prompts, "forward", api_name="/track")

    assert (told["model"], told["seconds"]) == ("sam2-hiera-micro", 8)
    for path in (overlay, mask):
        with Image.open(path) as picture:
            assert picture.size == (600, 400)
    assert coco["annotations"][0]["area"] > 1000
    assert len(found[0]["annotations"]) >= 1
    assert masklets["masklet_id"] == [7]
    assert [row == [None] for row in masklets["masklet"]] == [True] * 46 + [False] * 2
    assert all(Path(path).stat().st_size > 1000 for path in (video, pngs))
    assert all(set(one) == {"frame", "reason"} for one in review)
    named = space.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/everything", "/limits", "/segment", "/track"}
