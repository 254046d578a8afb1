"""Clips, their prompts, a tiny model on disk, and a set that was labeled without interruption."""

from types import SimpleNamespace

import pytest
from peers import draw_weights

import sam2_hf
from sam2_hf.cli import main
from tests.engine.clips import write_clip, write_prompts
from tests.small_checkpoint import SIDE, small_config

COUNT = 40


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """The least video model, with drawn weights, as a folder."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    model = draw_weights(sam2_hf.Sam2VideoModel(small_config()), seed=1)
    model.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    sam2_hf.Sam2VideoProcessor(sam2_hf.Sam2ImageProcessor(size=size)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Folders of pictures with a moving square, and COCO with its mask on each first frame."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(COUNT):
        write_clip(root / "clips", number)
    return SimpleNamespace(
        folder=root / "clips", prompts=write_prompts(root / "squares.json", COUNT), count=COUNT
    )


@pytest.fixture(scope="session")
def whole_set(clips, tiny_folder, tmp_path_factory):
    """A set that one worker labeled at once; not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "set"
    code = main(["label", str(clips.folder), *options(clips, tiny_folder), "--out", str(out), "-q"])
    assert code == 0
    return out


@pytest.fixture
def small_set(clips, tiny_folder, tmp_path):
    """A set of three labeled clips of a test's own."""
    out = tmp_path / "set"
    videos = [str(clips.folder / f"clip{number:02d}") for number in range(3)]
    prompts = write_prompts(tmp_path / "squares.json", 3)
    arguments = ["--prompts", str(prompts), "--model", tiny_folder, "--out", str(out), "-q"]
    assert main(["label", *videos, *arguments]) == 0
    return out


def options(clips, model):
    """Options of the command that the sets of the tests share."""
    return ["--prompts", str(clips.prompts), "--model", model]


def label(*arguments, code=0):
    """Run `sam2-hf label` in this process, without notes."""
    assert main(["label", *map(str, arguments), "-q"]) == code
