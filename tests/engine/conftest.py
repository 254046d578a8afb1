"""Clips, their prompts, a tiny model on disk, and a set that was labeled without interruption."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
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
    with torch.no_grad():  # so that objects are in view
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(5.0)
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


@pytest.fixture(scope="session")
def three_labeled(clips, tiny_folder, tmp_path_factory):
    """A set of three labeled clips, none of which is accepted by the rules; not to be changed."""
    root = tmp_path_factory.mktemp("three")
    videos = [clips.folder / f"clip{number:02d}" for number in range(3)]
    prompts = write_prompts(root / "squares.json", 3)
    arguments = ["--prompts", prompts, "--model", tiny_folder, "--min-iou", 1]
    label(*videos, *arguments, "--out", root / "set")
    return root / "set"


@pytest.fixture
def small_set(three_labeled, tmp_path):
    """A copy of that set, of a test's own."""
    return Path(shutil.copytree(three_labeled, tmp_path / "set"))


def options(clips, model):
    """Options of the command that the sets of the tests share."""
    return ["--prompts", str(clips.prompts), "--model", model]


def label(*arguments, code=0):
    """Run `sam2-hf label` in this process, without notes."""
    assert main(["label", *map(str, arguments), "-q"]) == code
