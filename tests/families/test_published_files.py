"""Files as they are published: names and fields of other classes beside those of the model."""

import json

import torch
from peers import transformers_warnings
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import PreTrainedModel

import sam2_hf
from tests.small_families import CONFIGS

RENAMED = (
    ("vision_encoder.backbone.", "detector_model.vision_encoder.backbone."),
    ("vision_encoder.neck.", "tracker_neck."),
)
PIXELS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}


def whole_sam3(model, folder):
    """Write a tracker as facebook/sam3 holds it: beside a detector, whose backbone it shares."""
    model.save_pretrained(folder)
    weights = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in RENAMED:
            if name.startswith(ours):
                weights[theirs + name.removeprefix(ours)] = tensor.contiguous()
                break
        else:
            weights[f"tracker_model.{name}"] = tensor.contiguous()
    weights["detector_model.text_encoder.token_embedding.weight"] = torch.zeros(3, 4)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tracker = json.loads((folder / "config.json").read_text())
    whole = {"model_type": "sam3_video", "detector_config": {}, "tracker_config": tracker}
    (folder / "config.json").write_text(json.dumps(whole))
    size = {"height": model.image_size, "width": model.image_size}
    part = {**PIXELS, "size": size}
    processor = {
        "processor_class": "Sam3VideoProcessor",
        "image_processor": {**part, "image_processor_type": "Sam3ImageProcessorFast"},
        "video_processor": {**part, "video_processor_type": "Sam2VideoVideoProcessor"},
        "target_size": model.image_size,
    }
    (folder / "processor_config.json").write_text(json.dumps(processor))


def test_the_tracker_of_a_whole_sam_3_is_loaded_with_its_pixels(tmp_path):
    model = sam2_hf.Sam2VideoModel(CONFIGS["sam3_tracker"]())
    whole_sam3(model, tmp_path)

    with transformers_warnings() as warnings:
        video = sam2_hf.Sam2VideoModel.from_pretrained(tmp_path)
        photos = sam2_hf.Sam2Model.from_pretrained(tmp_path)
        processor = sam2_hf.Sam2ImageProcessor.from_pretrained(tmp_path)

    assert warnings == []
    found = video.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    assert photos.config.model_type == "sam3_tracker"
    assert list(processor.image_mean) == PIXELS["image_mean"]


def test_what_is_saved_of_sam_3_loads_again(tmp_path):
    model = sam2_hf.Sam2VideoModel(CONFIGS["sam3_tracker"]())
    whole_sam3(model, tmp_path / "whole")
    loaded = sam2_hf.Sam2VideoModel.from_pretrained(tmp_path / "whole")

    loaded.save_pretrained(tmp_path / "again")

    again = sam2_hf.Sam2VideoModel.from_pretrained(tmp_path / "again").state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())


def test_edgetam_has_the_names_and_fields_of_its_published_files(tmp_path):
    model = sam2_hf.Sam2VideoModel(CONFIGS["edgetam"]())
    model.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    fields["prompt_encoder_config"]["model_type"] = "edgetam_video_prompt_encoder"
    fields["mask_decoder_config"]["model_type"] = "edgetam_video_mask_decoder"
    fields["vision_config"]["backbone_config"] |= {
        "architecture": "repvit_m1.dist_in1k",
        "global_pool": "avg",
        "num_features": 384,
        "pretrained_cfg": {"tag": "dist_in1k", "input_size": [3, 224, 224]},
    }
    (tmp_path / "config.json").write_text(json.dumps(fields))

    with transformers_warnings() as warnings:
        loaded = sam2_hf.Sam2VideoModel.from_pretrained(tmp_path)

    assert warnings == []
    backbone = loaded.config.vision_config.backbone_config.to_dict()
    assert backbone["pretrained_cfg"]["tag"] == "dist_in1k"
    names = load_file(tmp_path / "model.safetensors").keys()
    stage = "vision_encoder.backbone.timm_model.stages_1"
    assert f"{stage}.downsample.pre_block.token_mixer.conv.c.weight" in names
    assert f"{stage}.blocks.0.se.fc1.weight" in names
    assert "spatial_perceiver.layers.0.cross_attention.k_proj.weight" in names
    assert "memory_attention.layers.0.mlp.up_proj.weight" in names


def test_weights_that_fit_are_assigned_without_transformers_loader(
    family_model, folder, monkeypatch
):
    def refuse(*_args, **_kwargs):
        raise AssertionError("transformers' loader was called")

    monkeypatch.setattr(PreTrainedModel, "_load_pretrained_model", refuse)

    loaded = sam2_hf.Sam2VideoModel.from_pretrained(folder).state_dict()

    assert all(
        torch.equal(loaded[name], value) for name, value in family_model.state_dict().items()
    )
