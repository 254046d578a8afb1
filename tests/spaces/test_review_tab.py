"""Review of a set in a browser: the queue, a correction, decisions, and what is exported."""

import json
import os
import subprocess
import sys

import pytest

from sam2_hf.cli import main
from sam2_hf.engine.set_folder import SetFolder
from tests.engine.clips import write_clip, write_prompts
from tests.spaces.conftest import ROOT, START_SECONDS
from tests.spaces.looking import SECONDS, click, source, tinted, wait_for_new
from tests.spaces.test_accessibility import axe, faults  # noqa: F401 - a fixture

VIEW = "#review-view"
MODEL = "sam2-hiera-micro"
COUNT = 4


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """A set of four clips, none of which reaches the thresholds."""
    root = tmp_path_factory.mktemp("labeled")
    for number in range(COUNT):
        write_clip(root / "clips", number)
    prompts = write_prompts(root / "squares.json", COUNT)
    out = root / "set"
    arguments = [str(root / "clips"), "--out", str(out), "--prompts", str(prompts), "-q"]
    assert main(["label", *arguments, "--model", MODEL, "--min-iou", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def address(labeled, tmp_path_factory):
    """A server of the Space that shows the set."""
    command = [sys.executable, "app.py", "--set", str(labeled), "--model", MODEL]
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("server"))}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT / "spaces"
    )
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        process.stdout.close()


@pytest.fixture
def review(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    page.goto(address)
    page.get_by_role("tab", name="Review").click()
    page.locator("#review-next").click()
    page.wait_for_selector(f"{VIEW} img")
    yield page
    context.close()


def states(out):
    return {video.name: video.masklets[0].status for video in SetFolder(out).videos()}


def press_key(page, key):
    before = source(page, VIEW)
    page.keyboard.press(key)
    return wait_for_new(page, VIEW, before)


def test_axe_finds_no_serious_fault_in_the_review(review, axe):  # noqa: F811 - a fixture
    review.evaluate(axe)

    assert faults(review, "review") == []


def test_a_masklet_is_corrected_by_a_click_accepted_by_key_and_exported(review, labeled, tmp_path):
    review.locator("#review-by textarea, #review-by input").first.fill("Ann")
    shown = review.locator("#review-about code").inner_text()
    review.locator("#review-hint").click()  # out of the text, where keys are letters
    first = click(review, VIEW, (200, 200))
    corrected = click(review, VIEW, (560, 60))
    press_key(review, "t")
    press_key(review, "a")
    other = review.locator("#review-about code").inner_text()
    press_key(review, "r")
    review.locator("#review-hint", has_text="2 wait").wait_for()

    assert tinted(first, corrected).any()
    assert states(labeled) == {
        shown: "accepted",
        other: "rejected",
        **dict.fromkeys({f"clip{n:02d}" for n in range(COUNT)} - {shown, other}, "review"),
    }
    assert (
        main(["label", "--out", str(labeled), "--export", "coco-video", "--to", str(tmp_path)]) == 0
    )
    content = json.loads((tmp_path / "instances.json").read_text())
    (annotation,) = content["annotations"]
    (video,) = content["videos"]
    assert video["name"].startswith(shown)
    history = annotation["provenance"]["history"]
    assert [(action["by"], action["verdict"]) for action in history] == [
        ("Ann", "review"),
        ("Ann", "accepted"),
    ]
    assert sum(history[0]["clicks"].values()) == 2
