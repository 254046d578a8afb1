"""Every code block of the documentation runs, on the bundled model."""

from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks_of, run

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if blocks_of(page))
EXPORT = "tutorials/export.md"  # tests/export/test_tutorial.py runs it on the export made there
LANGUAGES = {"python", "bash", "json", "yaml", "text", "xml"}
# What is in a block or a command that is not run, and why.
NOT_RUN = {
    "hf jobs": "needs an account on the Hub; tests/examples checks the flags",
    "pip install": "needs a package index",
    "sam2-hf export": "takes minutes; tests/export makes an export and checks it",
    "convert mine.pt": "the sizes of the bundled model are no released ones",
    "EfficientTamVideoConfig(": "needs an EfficientTAM; test_family_names.py loads one",
    "make space": "serves until it is stopped",
    "sam2-hf space": "serves until it is stopped",
    "sam2-hf completion": "is for a shell; tests/cli reads what it prints",
    "hf upload": "needs an account on the Hub",
    "--camera": "needs a camera",
    "--text": "needs a detector from the Hub; tests/cli runs it with a stand-in",
    "--labels": "needs a scorer from the Hub; tests/cli runs it with a stand-in",
    'grounding-dino-tiny",': "a detector from the Hub",
    "from sam2_hf import ZeroShotDetector": "a detector from the Hub",
    "Client(": "needs a server; tests/spaces calls the same endpoints",
    "from ultralytics": "another package, shown for comparison",
    "examples.label_studio_backend": "serves until it is stopped; tests/examples asks it",
    "import supervision": "another package; tests/examples runs the block",
    "import fiftyone": "another package; tests/examples runs the block",
    "import rerun": "another package; tests/examples runs the block",
    "import napari": "another package; tests/examples runs the block",
}
SLOW = {"tutorials/finetune.md", "tutorials/evaluate.md"}


def parts(block: Block) -> list[Block]:
    """Take a shell block apart, so that its commands are chosen one by one."""
    if block.language != "bash":
        return [block]
    return [Block("bash", None, line) for line in block.code.splitlines() if line.strip()]


def reason_not_to_run(block: Block) -> str | None:
    return next((text for text in NOT_RUN if text in block.code), None)


def run_page(page: str) -> None:
    names = {"__name__": "page"}
    for block in blocks_of(DOCS / page):
        for part in parts(block):
            if reason_not_to_run(part) is None:
                run(part, names)


@pytest.mark.usefixtures("working_folder", "one_thread")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW))
        for page in PAGES
        if page != EXPORT
    ],
)
def test_the_blocks_of_a_page_run_one_after_another(page):
    run_page(page)


def test_every_block_says_in_which_language_it_is():
    found = {block.language for page in PAGES for block in blocks_of(DOCS / page)}

    assert found <= LANGUAGES


def test_everything_that_is_left_out_is_still_on_a_page():
    left_out = {
        reason_not_to_run(part)
        for page in PAGES
        for block in blocks_of(DOCS / page)
        for part in parts(block)
    }

    assert set(NOT_RUN) == left_out - {None}
