"""The first SAM beside this package's model."""

import torch
import transformers

from evaluation.speed_cases import sam1
from evaluation.speed_cases.sam1 import SAM_TRUNKS, Contestant, compare_models
from sam2_hf import Sam2Config, Sam2Model
from tests.small_checkpoint import SIDE, small_config


def small_sam():
    return transformers.SamModel(
        transformers.SamConfig(
            vision_config={
                "hidden_size": 16,
                "output_channels": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "window_size": 2,
                "global_attn_indexes": [1],
                "mlp_dim": 32,
                "num_pos_feats": 16,
            },
            prompt_encoder_config={"hidden_size": 32, "image_size": SIDE},
            mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "iou_head_hidden_dim": 32},
        )
    )


def test_each_pair_is_compared_in_images_a_second_and_seconds_a_click(monkeypatch):
    monkeypatch.setattr(sam1, "PHOTO_SIZE", (60, 90))
    monkeypatch.setattr(sam1, "CLICK_XY", (45.0, 30.0))
    ours = {"base_plus": Contestant.of(Sam2Model(Sam2Config.from_dict(small_fields())), SIDE)}

    rows = compare_models(ours, {"ViT-H": Contestant.of(small_sam(), SIDE)}, rounds=2)

    encode, click = rows
    assert encode.unit == "images/s"
    assert "paper, A100: 6x" in encode.case
    assert encode.ratio == round(encode.ours / encode.transformers, 2)
    assert click.unit == "s"
    assert click.ratio == round(click.transformers / click.ours, 2)


def small_fields():
    fields = small_config().to_dict()
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    return {name: fields[name] for name in parts}


def test_the_largest_trunk_is_that_of_sam():
    with torch.device("meta"):
        model = transformers.SamModel(transformers.SamConfig(vision_config=SAM_TRUNKS["ViT-H"]))

    assert 640e6 < sum(weight.numel() for weight in model.parameters()) < 642e6
