"""EdgeTAM and SAM 3's tracker against transformers' own classes: images, videos, checkpoints.

Weights are drawn; memories are kept in float32 on both sides, see `test_transformers_videos.py`.
"""

import copy

import numpy as np
import pytest
import torch
from family_peers import edgetam_peer, prompted_session, sam3_peer, single_mask_pointers
from peers import draw_weights, largest_difference, transformers_warnings
from seeded_inputs import clip
from transformers.models.edgetam_video import modeling_edgetam_video
from transformers.models.sam3_tracker_video import modeling_sam3_tracker_video

import sam2_hf
from sam2_hf import Sam2ImageProcessor, Sam2VideoInferenceSession, Sam2VideoProcessor
from sam2_hf.video.session_options import SessionOptions
from tests.small_families import edgetam_config, sam3_config

TOLERANCE = 1e-3  # logits of order 1 over eight frames; measured 3e-6
NUM_FRAMES = 8
CLICK = (25.0, 30.0)
CONFIGS = {"edgetam": edgetam_config, "sam3_tracker": sam3_config}


class Float32Memories:
    """Torch for a module of transformers that otherwise keeps memories in bfloat16."""

    bfloat16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    model = draw_weights(sam2_hf.Sam2VideoModel(CONFIGS[request.param]()), seed=1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(5.0)
    return model.eval()


@pytest.fixture
def build_peer(monkeypatch):
    """A function that builds transformers' class for one of our models."""

    def build(model):
        if model.config.model_type.startswith("edgetam"):
            return edgetam_peer(model, monkeypatch)
        return sam3_peer(model)

    return build


@pytest.fixture
def peer_module(model, monkeypatch):
    """Transformers' module for the model, made to treat given masks and memories as ours does."""
    if model.config.model_type == "edgetam_video":
        module, name = modeling_edgetam_video, "EdgeTamVideo"
    else:
        module, name = modeling_sam3_tracker_video, "Sam3TrackerVideo"
        monkeypatch.setattr(module, "torch", Float32Memories())
    single_mask_pointers(getattr(module, f"{name}Model"), monkeypatch)
    return module, f"{name}InferenceSession"


@pytest.fixture
def processor(model):
    size = {"height": model.image_size, "width": model.image_size}
    return Sam2VideoProcessor(Sam2ImageProcessor(size=size))


@pytest.fixture
def pixels(model, processor):
    frames = clip(NUM_FRAMES, model.image_size, model.image_size, 3)
    return processor.video_processor(frames)["pixel_values_videos"][0]


def disc(side):
    y, x = np.mgrid[:side, :side]
    return torch.from_numpy((y - CLICK[1]) ** 2 + (x - CLICK[0]) ** 2 < 10**2)


@pytest.mark.parametrize("prompt", ["click", "mask"])
def test_an_object_is_tracked_alike(model, build_peer, peer_module, processor, pixels, prompt):
    side = model.image_size
    options = SessionOptions.preset("transformers", memory_dtype=torch.float32)
    ours = Sam2VideoInferenceSession(pixels.clone(), side, side, options=options)
    given = {"input_points": [[[list(CLICK)]]], "input_labels": [[[1]]]}
    given = given if prompt == "click" else {"input_masks": disc(side)}
    processor.add_inputs_to_inference_session(ours, 0, 1, **given)
    theirs = prompted_session(*peer_module, pixels, CLICK if prompt == "click" else disc(side))

    outputs = list(model.propagate_in_video_iterator(ours, start_frame_idx=0))

    expected = build_peer(model).propagate_in_video_iterator(theirs, start_frame_idx=0)
    for found, wanted in zip(outputs, expected, strict=True):
        assert wanted.pred_masks.std() > 0.1
        assert largest_difference(found.pred_masks, wanted.pred_masks) <= TOLERANCE
    assert len(outputs) == NUM_FRAMES


@torch.no_grad()
def test_clicks_on_a_photo_are_answered_alike(model, build_peer, pixels):
    photos = copy.deepcopy(sam2_hf.Sam2Model.from_video_model(model))
    if model.config.model_type == "sam3_tracker_video":
        # theirs adds it to the fourth map, for the detector, and then drops that: modeling_
        # sam3_tracker.py:1007; their video model adds it to the embedding
        photos.no_memory_embedding.zero_()
    prompts = {
        "pixel_values": pixels[:1],
        "input_points": torch.tensor([[[list(CLICK)]]]),
        "input_labels": torch.ones(1, 1, 1, dtype=torch.long),
    }

    found, wanted = photos(**prompts), build_peer(photos)(**prompts)

    assert largest_difference(found.pred_masks, wanted.pred_masks) <= TOLERANCE
    assert largest_difference(found.iou_scores, wanted.iou_scores) <= TOLERANCE


@pytest.mark.parametrize("way", ["theirs to ours", "ours to theirs"])
def test_checkpoints_load_both_ways(model, build_peer, way, tmp_path):
    peer = build_peer(model)
    saved = peer if way == "theirs to ours" else model
    kind = sam2_hf.Sam2VideoModel if way == "theirs to ours" else type(peer)
    saved.save_pretrained(tmp_path)

    with transformers_warnings() as warnings:
        loaded, report = kind.from_pretrained(tmp_path, output_loading_info=True)

    found, wanted = loaded.state_dict(), saved.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())
    assert not any(report.values())
    photos = sam2_hf.Sam2Model.from_pretrained(tmp_path)
    assert photos.config.model_type == model.config.model_type.removesuffix("_video")
    assert warnings == []
