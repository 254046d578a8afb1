"""The loop of the original's tools/vos_inference.py on our predictor, and `evaluation.run_vos`.

    pytest -m "" --original CHECKOUT tests/original/test_vos_inference.py

also runs the original's own file; without a checkout the same calls are made here.
"""

import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.run_vos import main
from sam2_hf import Sam2VideoModel, SessionOptions
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from sam2_hf.writers.mask_png import write_label_png
from tests.small_sets import write_davis

FRAMES = 6
VIDEOS = ("cat", "dog")
KINDS = ("JPEGImages", "Annotations")
ROUNDED = 3e-3  # part of the pixels that may differ where objects are tracked one by one


@pytest.fixture
def checkpoint(tiny_video_model, tmp_path):
    """The tiny video model in a folder."""
    tiny_video_model.save_pretrained(tmp_path / "sam2-tiny")
    return tmp_path / "sam2-tiny"


@pytest.fixture
def davis(tmp_path):
    return write_davis(tmp_path / "davis", VIDEOS, frames=FRAMES)


@pytest.fixture
def predictor(checkpoint):
    """With the options of the original's file: no postprocessing, no overlaps."""
    options = SessionOptions.preset("official", apply_postprocessing=False, non_overlap_masks=True)
    return SAM2VideoPredictor(Sam2VideoModel.from_pretrained(checkpoint).eval(), options)


@pytest.fixture
def expected(checkpoint, davis, tmp_path):
    """What `run_vos` writes: video and frame -> labels."""
    run = ["--model", str(checkpoint), "--out", str(tmp_path / "out"), "--root", str(davis)]
    assert main([*run, "--dataset", "davis17-val"]) == 0
    return read_labels(tmp_path / "out" / "masks")


def read_labels(folder):
    return {
        (path.parent.name, path.stem): np.asarray(Image.open(path))
        for path in sorted(folder.rglob("*.png"))
    }


def assert_equal(found, expected, most=0.0):
    assert found.keys() == expected.keys()
    assert len(found) == FRAMES * len(VIDEOS)
    for name, labels in expected.items():
        assert (found[name] != labels).mean() <= most, name
    assert any(labels.any() for labels in expected.values())


def track(predictor, frames, annotations, out):
    """Give the masks of the first frame, track to the end, write one picture a frame."""
    names = sorted(os.path.splitext(name)[0] for name in os.listdir(frames))
    state = predictor.init_state(video_path=str(frames), async_loading_frames=False)
    height, width = state["video_height"], state["video_width"]
    labels = np.array(Image.open(annotations / f"{names[0]}.png"))
    for number in np.unique(labels)[1:]:
        predictor.add_new_mask(
            inference_state=state, frame_idx=0, obj_id=number, mask=labels == number
        )
    for frame, ids, logits in predictor.propagate_in_video(state):
        masks = {number: (logits[row, 0] > 0.0).cpu().numpy() for row, number in enumerate(ids)}
        write_label_png(out / f"{names[frame]}.png", masks, (height, width))


def test_its_calls_give_the_pictures_of_run_vos(predictor, davis, expected, tmp_path):
    for video in VIDEOS:
        frames, annotations = (
            davis / kind / "480p" / video for kind in ("JPEGImages", "Annotations")
        )
        track(predictor, frames, annotations, tmp_path / "ours" / video)

    assert_equal(read_labels(tmp_path / "ours"), expected)


@pytest.mark.filterwarnings("ignore")  # autocast for a GPU that is not there
@pytest.mark.parametrize("separately", [False, True])
def test_the_file_itself_gives_the_pictures_of_run_vos(
    request, monkeypatch, predictor, davis, expected, tmp_path, separately
):
    checkout = request.config.getoption("--original")
    if checkout is None:
        pytest.skip("--original names no checkout of facebookresearch/sam2")
    package, builder = types.ModuleType("sam2"), types.ModuleType("sam2.build_sam")
    builder.build_sam2_video_predictor = None  # which only its command line calls
    monkeypatch.setitem(sys.modules, "sam2", package)
    monkeypatch.setitem(sys.modules, "sam2.build_sam", builder)
    spec = importlib.util.spec_from_file_location(
        "vos_inference", Path(checkout) / "tools/vos_inference.py"
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    infer = tool.vos_separate_inference_per_object if separately else tool.vos_inference
    for video in VIDEOS:
        infer(
            predictor=predictor,
            base_video_dir=str(davis / "JPEGImages" / "480p"),
            input_mask_dir=str(davis / "Annotations" / "480p"),
            output_mask_dir=str(tmp_path / "theirs"),
            video_name=video,
        )

    found = read_labels(tmp_path / "theirs")
    assert_equal(found, expected, most=ROUNDED if separately else 0.0)
