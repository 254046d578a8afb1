"""The README's Python blocks run as they stand, on the micro model in place of a Hub id."""

import re
from pathlib import Path

import pytest
from PIL import Image
from seeded_inputs import clip, photo

import sam2_hf
from sam2_hf.writers.mp4 import video_writer
from tests.docs.blocks import blocks_of

PAGE = Path(__file__).parents[1] / "README.md"
README = PAGE.read_text()
BLOCKS = [block.code for block in blocks_of(PAGE) if block.language == "python"]
HUB_ID = "facebook/sam2.1-hiera-tiny"


@pytest.fixture
def folder(tmp_path, micro_video_model, monkeypatch):
    """A working folder with two photos, a clip and the micro model saved in it."""
    processor = sam2_hf.Sam2Processor(
        sam2_hf.Sam2ImageProcessor(size={"height": 256, "width": 256})
    )
    micro_video_model.save_pretrained(tmp_path / "micro")
    processor.save_pretrained(tmp_path / "micro")
    for name in ("photo.jpg", "street.jpg"):
        Image.fromarray(photo(900, 1200, 1)).save(tmp_path / name)
    with video_writer(tmp_path / "clip.mp4", fps=25) as writer:
        for frame in clip(10, 180, 240, 3):
            writer.write(frame)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_blocks_run_one_after_another(folder):
    names = {}

    for block in BLOCKS:
        exec(block.replace(HUB_ID, "./micro").replace("=32", "=4"), names)

    assert names["mask"].shape == (900, 1200)
    assert names["masks"].shape == (1, 3, 900, 1200)
    assert names["found_cat"].best.dtype == bool
    assert (folder / "photo.safetensors").exists()
    assert names["session"].masklet(1).frames == list(range(10))
    assert names["found"].masklets[1].mask(5).shape == (180, 240)


def test_every_file_and_folder_of_the_tree_exists():
    root = Path(__file__).parents[1]
    tree = README.split("## Read the code")[1].split("```")[1]
    folder, found = root / "src/sam2_hf", 0
    for line in tree.splitlines()[2:]:
        if match := re.match(r" {4}(\w+)/", line):
            folder = root / "src/sam2_hf" / match[1]
        for name in re.findall(r"\w+\.py\b", line.replace("CONTRIBUTING.md", "")):
            assert (folder / name).is_file(), name
            found += 1
        for name in re.findall(r"(?<=[ /])(\w+)/(?= |$)", line):
            places = (root, root / "src/sam2_hf", folder)
            assert any((place / name).is_dir() for place in places), name
            found += 1

    assert found > 20


def test_it_is_short_enough_to_be_read():
    assert README.count("\n") <= 200
