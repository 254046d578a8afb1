"""What tests share: small models, the golden files, and skips where a machine lacks a device.

Models are built once and used by every test, so a test that changes one makes its own copy.
"""

import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import (
    GOLDEN,
    case,
    image_config,
    seeded_model,
    seeded_video_model,
    seeded_weights,
)
from peers import draw_weights

import sam2_hf
from tests.camera_film import film_cup

TINY_SIZE = 64
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core; so have the processes it starts
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def pytest_addoption(parser):
    """Take checkouts of other code, for the tests that run it beside this package."""
    parser.addoption(
        "--original", type=Path, help="checkout of facebookresearch/sam2 to compare with"
    )
    parser.addoption("--timm", type=Path, help="folder that holds timm, to compare with")
    parser.addoption(
        "--efficienttam", type=Path, help="checkout of EfficientTAM's own code to compare with"
    )
    parser.addoption(
        "--original-size",
        choices=("micro", "named"),
        default="micro",
        help="the model its notebooks run on: the bundled small one, or the size that they name",
    )


def pytest_collection_modifyitems(items):
    """Skip what this machine has too few CUDA devices for."""
    devices = torch.cuda.device_count()
    for item in items:
        for marker, needed in (("gpu", 1), ("multi_gpu", 2)):
            if item.get_closest_marker(marker) and devices < needed:
                item.add_marker(pytest.mark.skip(reason=f"needs {needed} CUDA device(s)"))


def feature_sizes(image_size):
    """Rows and columns of the three feature maps of an input size."""
    return [[image_size // stride] * 2 for stride in (4, 8, 16)]


@pytest.fixture(autouse=True)
def seeded():
    """Each test draws the same numbers whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def one_thread():
    """Models this small spend more time waking a second thread than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def micro_config():
    """The small architecture of golden/manifests/micro.json: SAM 2.1, 256 pixels."""
    return image_config(case("micro"))


@pytest.fixture(scope="session")
def tiny_config():
    """The least model there is, for tests about shapes and plumbing: 32 channels, 64 pixels."""
    trunk = {
        "hidden_size": 16,
        "image_size": [TINY_SIZE, TINY_SIZE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 24, 32, 48],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    vision = {
        "backbone_config": trunk,
        "backbone_channel_list": [48, 32, 24, 16],
        "backbone_feature_sizes": feature_sizes(TINY_SIZE),
        "fpn_hidden_size": 32,
    }
    return sam2_hf.Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": TINY_SIZE},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "iou_head_hidden_dim": 32},
    )


@pytest.fixture(scope="session")
def seeded_checkpoint():
    """A function from an architecture's name to weights drawn by formula, in original names."""
    return seeded_weights


@pytest.fixture(scope="session")
def micro_model():
    """The micro image model with the weights of golden/micro.npz, in eval mode."""
    return seeded_model(case("micro"))


@pytest.fixture(scope="session")
def tiny_model(tiny_config):
    """A tiny image model with weights drawn by torch from a fixed seed, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return sam2_hf.Sam2Model(tiny_config).eval()


@pytest.fixture(scope="session")
def tiny_video_config(tiny_config):
    """The tiny model with a memory: two layers of attention, 16 channels in a spatial memory."""
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    fields = tiny_config.to_dict()
    return sam2_hf.Sam2VideoConfig(
        **{part: {**fields[part], "model_type": None} for part in parts},
        image_size=TINY_SIZE,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[TINY_SIZE // 16] * 2,
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=32,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=64,
    )


@pytest.fixture(scope="session")
def tiny_video_model(tiny_video_config):
    """A tiny video model with weights drawn from a fixed seed, whose objects are in view."""
    model = draw_weights(sam2_hf.Sam2VideoModel(tiny_video_config), seed=1).eval()
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(5.0)
    return model


@pytest.fixture(scope="session")
def video_processor(tiny_video_config):
    """A video processor for the tiny video model."""
    size = {"height": tiny_video_config.image_size, "width": tiny_video_config.image_size}
    return sam2_hf.Sam2VideoProcessor(sam2_hf.Sam2ImageProcessor(size=size))


@pytest.fixture(scope="session")
def micro_video_model():
    """The micro video model with the weights of golden/micro.npz, in eval mode."""
    return seeded_video_model(case("micro"))


@pytest.fixture(scope="session")
def golden():
    """A function that reads a golden file: `golden("micro")["image/point/multi/iou"]`."""

    @cache
    def load(name):
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return dict(arrays)

    return load


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium, started once: Playwright refuses a second one in a process."""
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    film = tmp_path_factory.mktemp("camera") / "cup.mjpeg"
    film_cup(film)
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream"]
    flags += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()
