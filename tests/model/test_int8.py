"""Models in 8 bits: nearly the same masks, and no way to lose the exact weights."""

import copy

import numpy as np
import pytest
import torch
from peft import LoraConfig

from sam2_hf import (
    CheckpointError,
    PromptError,
    Sam2Model,
    Sam2VideoModel,
    VideoSession,
    pipeline,
    to_int8,
)
from sam2_hf.export.onnx_files import exportable_copy
from sam2_hf.model.kernels.int8_linear import Int8Linear
from sam2_hf.pipelines.loading import load_model
from tests.drawn_video import own_video_model
from tests.small_families import edgetam_config

MODEL = "sam2-hiera-micro"


def rounded_names(model):
    return [name for name, part in model.named_modules() if isinstance(part, Int8Linear)]


@pytest.fixture
def image_model():
    return Sam2Model.from_pretrained(MODEL).eval()


@torch.no_grad()
def test_masks_hardly_change(image_model, generator):
    pixels = torch.randn(1, 3, 256, 256, generator=generator)
    click = {"input_points": torch.tensor([[[[100.0, 120.0]]]])}
    exact = image_model(pixel_values=pixels, **click)

    model = to_int8(image_model)
    found = model(pixel_values=pixels, **click)

    assert model is image_model
    assert not torch.equal(found.pred_masks, exact.pred_masks)
    flipped = ((found.pred_masks > 0) != (exact.pred_masks > 0)).float().mean()
    assert flipped < 0.02
    torch.testing.assert_close(found.iou_scores, exact.iou_scores, rtol=0, atol=0.02)


def test_the_encoder_and_the_mlps_of_the_memory_attention_are_rounded():
    model = to_int8(own_video_model())

    names = rounded_names(model)
    assert {"linear1", "linear2"} <= {
        name.rpartition(".")[2] for name in names if name.startswith("memory_attention")
    }
    others = {name.split(".")[0] for name in names} - {"memory_attention", "vision_encoder"}
    assert not others
    blocks = len(model.vision_encoder.backbone.blocks)
    assert len([name for name in names if name.endswith("attn.qkv")]) == blocks


def test_a_session_of_a_copy_tracks_nearly_the_same():
    frames = np.full((4, 96, 128, 3), 30, np.uint8)
    frames[:, 20:60, 20:60] = 220
    exact = Sam2VideoModel.from_pretrained(MODEL).eval()
    areas = []
    for model in (exact, to_int8(copy.deepcopy(exact))):
        with VideoSession.open(frames, model) as session:
            session.click(0, 1, (30, 30))
            areas.append([result.masks[1].sum() for result in session.propagate()])

    assert areas[0] == pytest.approx(areas[1], rel=0.1)
    assert not rounded_names(exact)


def test_a_pipeline_rounds_a_copy_of_a_given_model(image_model):
    segment = pipeline("image-segmentation", model=image_model, dtype="int8")

    assert rounded_names(segment.model)
    assert not rounded_names(image_model)
    assert rounded_names(load_model(MODEL, dtype="int8"))


def test_8_bit_weights_are_neither_saved_nor_exported(tmp_path):
    model = to_int8(Sam2VideoModel.from_pretrained(MODEL))

    with pytest.raises(CheckpointError, match="rounded to 8 bits and cannot be saved or exported"):
        model.save_pretrained(tmp_path / "rounded")
    with pytest.raises(CheckpointError, match="cannot be saved or exported"):
        exportable_copy(model, torch.float32)
    assert not (tmp_path / "rounded").exists()


@pytest.mark.parametrize("place", [{"dtype": torch.bfloat16}, {"device": "meta"}], ids=str)
def test_other_dtypes_and_devices_are_refused_before_anything_changes(image_model, place):
    model = image_model.to(**place)

    with pytest.raises(CheckpointError, match="int8 weights are made of float32 on the CPU"):
        to_int8(model)
    assert not rounded_names(model)


def test_hooks_and_adapters_would_be_lost_and_are_refused(image_model):
    model = image_model
    hook = model.vision_encoder.backbone.blocks[0].attn.qkv.register_forward_hook(lambda *_: None)
    with pytest.raises(CheckpointError, match="hooks, adapters or replaced parts"):
        to_int8(model)
    hook.remove()
    model.add_adapter(LoraConfig(target_modules=["qkv"]))

    with pytest.raises(CheckpointError, match="hooks, adapters or replaced parts"):
        to_int8(model)
    assert not rounded_names(model)


def test_rounding_twice_changes_nothing(image_model):
    names = rounded_names(to_int8(image_model))

    assert rounded_names(to_int8(image_model)) == names
    assert load_model(image_model, dtype="int8") is image_model
    with pytest.raises(PromptError, match=r"cannot become torch\.bfloat16"):
        load_model(image_model, dtype="bfloat16")


@pytest.mark.parametrize("given", ["sam2-hiera-micro", torch.nn.Linear(2, 2)], ids=str)
def test_only_models_of_images_and_videos_are_taken(given):
    with pytest.raises(CheckpointError, match="to_int8 takes a Sam2Model or a Sam2VideoModel"):
        to_int8(given)


def test_a_convolutional_encoder_stays_as_it_is():
    model = to_int8(Sam2VideoModel(edgetam_config()))

    assert all(name.startswith("memory_attention") for name in rounded_names(model))


def test_graphs_keep_their_precision(monkeypatch):
    monkeypatch.setattr("sam2_hf.pipelines.loading.ExportedSam2", Sam2Model)
    monkeypatch.setattr("sam2_hf.pipelines.loading._exported", lambda source: None)

    with pytest.raises(PromptError, match="export them with --dtype int8"):
        load_model(MODEL, dtype="int8")
