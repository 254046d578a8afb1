"""The documentation is built without a warning, and works from a folder without a network."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sam2_hf

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages; a link that leads nowhere, or any other warning, fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_no_page_loads_anything_from_another_host(site):
    pages = list(site.rglob("*.html"))

    assert len(pages) > 30
    assert not [url for page in pages for url in LOADED.findall(page.read_text())]


def test_every_public_name_has_a_place_in_the_reference():
    pages = [page.read_text() for page in (ROOT / "docs/reference").glob("*.md")]
    shown = {name for page in pages for name in re.findall(r"^::: sam2_hf\.(\w+)$", page, re.M)}

    assert set(sam2_hf.__all__) - shown == {"__version__"}


def test_references_in_docstrings_are_links_or_plain_code(site):
    text = (site / "reference/photos.html").read_text()

    assert not any("[<code>" in page.read_text() for page in site.rglob("*.html"))
    assert re.search(r'href="#sam2_hf\.ObjectPrompt"[^>]*><code>ObjectPrompt</code>', text)


def test_the_search_works_in_a_page_opened_from_a_folder(site, browser):
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "reference/videos.html").as_uri())
    found = page.locator(".md-search-result__item")
    page.fill("input[name=query]", "masklet")
    until = time.monotonic() + 120
    while not found.count() and time.monotonic() < until:
        page.press("input[name=query]", "End")  # the script reads the field when a key is released
        page.wait_for_timeout(1000)
    assert found.count() > 0
    page.close()

    assert not [url for url in asked if not url.startswith(("file:", "data:", "about:"))]


def test_the_glossary_has_every_word_of_the_contributors_table():
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Terms")[1].split("## ")[0]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.M)[1:]
    words = [word.strip() for row in rows for word in row.split(",")]
    glossary = (ROOT / "docs/glossary.md").read_text()

    assert len(words) > 10
    assert not [word for word in words if word not in glossary]
