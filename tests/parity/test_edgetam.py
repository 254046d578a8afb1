"""EdgeTAM against transformers' own classes, on drawn weights: images, videos, checkpoints."""

import numpy as np
import pytest
import torch
from family_peers import edgetam_peer, prompted_session, single_mask_pointers
from peers import draw_weights, largest_difference, transformers_warnings
from seeded_inputs import clip
from transformers.models.edgetam_video import modeling_edgetam_video as peer_module

import sam2_hf
from sam2_hf import Sam2ImageProcessor, Sam2VideoInferenceSession, Sam2VideoProcessor
from sam2_hf.video.session_options import SessionOptions
from tests.small_families import SIDE, edgetam_config

TOLERANCE = 1e-3  # logits of order 2 over eight frames
NUM_FRAMES = 8
CLICK = (25.0, 30.0)


@pytest.fixture(scope="module")
def model():
    model = draw_weights(sam2_hf.Sam2VideoModel(edgetam_config()), seed=1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(5.0)
    return model.eval()


@pytest.fixture(scope="module")
def pixels():
    processor = Sam2VideoProcessor(Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}))
    return processor.video_processor(clip(NUM_FRAMES, SIDE, SIDE, 3))["pixel_values_videos"][0]


def disc():
    y, x = np.mgrid[:SIDE, :SIDE]
    return torch.from_numpy((y - CLICK[1]) ** 2 + (x - CLICK[0]) ** 2 < 10**2)


@pytest.mark.parametrize("prompt", ["click", "mask"])
def test_an_object_is_tracked_alike(model, pixels, prompt, monkeypatch):
    peer = edgetam_peer(model, monkeypatch)
    single_mask_pointers(peer_module.EdgeTamVideoModel, monkeypatch)
    processor = Sam2VideoProcessor(Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}))
    options = SessionOptions.preset("transformers", memory_dtype=torch.float32)
    ours = Sam2VideoInferenceSession(pixels.clone(), SIDE, SIDE, options=options)
    given = {"input_points": [[[list(CLICK)]]], "input_labels": [[[1]]]}
    given = given if prompt == "click" else {"input_masks": disc()}
    processor.add_inputs_to_inference_session(ours, 0, 1, **given)
    theirs = prompted_session(
        peer_module, pixels, "EdgeTamVideoInferenceSession", CLICK if prompt == "click" else disc()
    )

    outputs = list(model.propagate_in_video_iterator(ours, start_frame_idx=0))

    expected = list(peer.propagate_in_video_iterator(theirs, start_frame_idx=0))
    assert len(outputs) == len(expected) == NUM_FRAMES
    for found, wanted in zip(outputs, expected, strict=True):
        assert wanted.pred_masks.std() > 0.1
        assert largest_difference(found.pred_masks, wanted.pred_masks) <= TOLERANCE


@torch.no_grad()
def test_clicks_on_a_photo_are_answered_alike(model, pixels, monkeypatch):
    photos = sam2_hf.Sam2Model.from_video_model(model)
    peer = edgetam_peer(photos, monkeypatch)
    prompts = {
        "pixel_values": pixels[:1],
        "input_points": torch.tensor([[[list(CLICK)]]]),
        "input_labels": torch.ones(1, 1, 1, dtype=torch.long),
    }

    found, wanted = photos(**prompts), peer(**prompts)

    assert largest_difference(found.pred_masks, wanted.pred_masks) <= TOLERANCE
    assert largest_difference(found.iou_scores, wanted.iou_scores) <= TOLERANCE


@pytest.mark.parametrize("way", ["theirs to ours", "ours to theirs"])
def test_checkpoints_load_both_ways(model, way, tmp_path, monkeypatch):
    peer = edgetam_peer(model, monkeypatch)
    saved = peer if way == "theirs to ours" else model
    kind = sam2_hf.Sam2VideoModel if way == "theirs to ours" else peer_module.EdgeTamVideoModel
    saved.save_pretrained(tmp_path)

    with transformers_warnings() as warnings:
        loaded, report = kind.from_pretrained(tmp_path, output_loading_info=True)

    found, wanted = loaded.state_dict(), saved.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())
    assert not any(report.values())
    assert warnings == []
    assert sam2_hf.Sam2Model.from_pretrained(tmp_path).config.model_type == "edgetam"
    assert warnings == []
