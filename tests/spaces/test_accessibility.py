"""Accessibility of every tab and state, by axe-core, in light and dark."""

import shutil
import subprocess
import tarfile

import pytest

from tests.spaces.looking import SECONDS, click, sample_photo
from tests.spaces.test_video_tab import CUP as CUP_ON_FRAME, open_sample

AXE = "axe-core@4.14.1"
RUN = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter(found => found.impact === 'serious' || found.impact === 'critical')
  .map(found => [found.id, found.nodes.map(node => node.target.join(' ')).slice(0, 5)])"""
DARK = "is_dark => document.body.classList.toggle('dark', is_dark)"
FINISH = """document.getAnimations().forEach(fade => {
  try { fade.finish(); } catch { /* one without an end */ }
})"""
FETCH_SECONDS = 60


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The script of axe-core, fetched from npm; it is no part of this project."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, to fetch axe-core: apt-get install npm")
    command = [npm, "pack", AXE, "--pack-destination", str(folder), "--silent"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=FETCH_SECONDS, cwd=folder)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm cannot fetch {AXE}: {error}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        return packed.extractfile("package/axe.min.js").read().decode()


def faults(page, state):
    """List the serious faults of what is shown, in both themes."""
    found = []
    for is_dark in (False, True):
        page.evaluate(DARK, is_dark)
        page.wait_for_timeout(300)  # colors fade over, on a busy machine later
        page.evaluate(FINISH)
        found += [(state, "dark" if is_dark else "light", *fault) for fault in page.evaluate(RUN)]
    page.evaluate(DARK, False)
    return found


def test_axe_finds_no_serious_fault_on_any_tab_in_any_state(page, axe):
    page.evaluate(axe)
    found = faults(page, "photo empty")
    sample_photo(page)
    click(page, "#photo-view", (290, 225))
    page.locator("#photo-candidates .thumbnail-item").last.wait_for(timeout=SECONDS)
    for closed in ("Everything in the photo", "Type a click instead"):
        page.get_by_role("button", name=closed).first.click()
    found += faults(page, "photo with mask")
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-samples .gallery-item").wait_for(timeout=SECONDS)
    found += faults(page, "video empty")
    open_sample(page)
    click(page, "#video-view", CUP_ON_FRAME)
    page.locator("#video-track").click()
    page.locator("#video-status progress").wait_for(timeout=SECONDS)
    page.locator("#video-stop").click()
    page.locator("#video-status", has_text="tracked frames are kept").wait_for(timeout=SECONDS)
    page.locator("#video-curve svg, #video-curve canvas").first.wait_for(timeout=SECONDS)
    found += faults(page, "video tracked")
    page.get_by_role("tab", name="Live").click()
    page.get_by_text("Click to Access Webcam").wait_for(timeout=SECONDS)
    found += faults(page, "live empty")

    assert found == []


def test_every_control_can_be_reached_by_keyboard_and_its_focus_is_seen(page):
    sample_photo(page)
    page.evaluate("document.activeElement.blur()")
    reached, unseen = set(), []
    for _ in range(45):
        page.keyboard.press("Tab")
        tag, name, outline = page.evaluate(
            """() => { const one = document.activeElement, near = one.closest('label') ?? one;
            const outlines = [one, near].map(each => getComputedStyle(each))
              .some(style => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
            return [one.tagName, one.ariaLabel ?? (one.innerText || near.innerText), outlines]; }"""
        )
        reached.add(name.strip())
        if tag != "BODY" and not outline:
            unseen.append((tag, name))

    assert {"Undo", "Start over", "New object", "Mask PNG", "Cutout PNG"} <= reached
    assert "Preview the mask under the cursor" in reached
    assert unseen == []
