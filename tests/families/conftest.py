"""A small model of each family, made once, whose objects are in view."""

import pytest
import torch
from peers import draw_weights

import sam2_hf
from tests.small_families import CONFIGS, SIDE


@pytest.fixture(scope="session", params=CONFIGS)
def family(request):
    """Name of a family."""
    return request.param


@pytest.fixture(scope="session")
def family_model(family):
    """Its video model, with drawn weights; not to be changed."""
    model = draw_weights(sam2_hf.Sam2VideoModel(CONFIGS[family]()), seed=1).eval()
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(5.0)
    return model


@pytest.fixture(scope="session")
def folder(family_model, family, tmp_path_factory):
    """A folder with its weights and a processor."""
    folder = tmp_path_factory.mktemp(family)
    family_model.save_pretrained(folder)
    side = family_model.image_size
    size = {"height": side, "width": side}
    sam2_hf.Sam2VideoProcessor(sam2_hf.Sam2ImageProcessor(size=size)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip():
    """Eight frames of moving noise."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 255, (SIDE, SIDE, 3), generator=random, dtype=torch.uint8).numpy()
    frames = []
    for step in range(8):
        frame = noise.copy()
        frame[20 : 20 + SIDE // 4, 10 + step : 10 + step + SIDE // 4] = (200, 40, 40)
        frames.append(frame)
    return frames
