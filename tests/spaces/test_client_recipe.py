"""The documented recipes of `gradio_client` run against the Space."""

from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.files import NUM_FRAMES, write_files

DOCS = Path(__file__).parents[2] / "docs"
LOCAL = 'Client("http://127.0.0.1:7860/")'


@pytest.mark.parametrize("page", ["how-to/integrations.md", "tutorials/space.md"])
def test_the_recipe_on_a_page_gives_masks(server, tmp_path, monkeypatch, page):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in blocks_of(DOCS / page) if LOCAL in block.code)
    here = f'Client("{server.address}", download_files="answers", verbose=False)'
    names = {"__name__": "page"}

    exec(block.code.replace(LOCAL, here), names)

    assert names["coco"]["images"][0]["width"] == 600
    assert Path(names["mask"]).exists()
    if "masklets" in names:
        assert len(names["masklets"]["masklet"]) == NUM_FRAMES
        assert Path(names["label_pngs"]).suffix == ".zip"
