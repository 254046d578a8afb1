"""EfficientTAM's own code from a checkout, small and with seeded weights.

It needs hydra-core to be importable, and no torchvision. `tests/golden/make_efficienttam.py` stores
what it answers.
"""

import sys
import warnings
from unittest import mock

import torch
from seeded_inputs import clip
from seeded_weights import draw

SIDE, CELLS, NUM_FRAMES = 128, 8, 8
CLICK = (50.0, 60.0)
ROPE = "++model.memory_attention.layer.{}_attention.feat_sizes=[8,8]"
PREDICTOR = "efficient_track_anything.efficienttam_video_predictor.EfficientTAMVideoPredictor"
DECODER = "++model.sam_mask_decoder_extra_args.dynamic_multimask"
SMALL = [
    f"++model._target_={PREDICTOR}",
    f"{DECODER}_via_stability=true",
    f"{DECODER}_stability_delta=0.05",
    f"{DECODER}_stability_thresh=0.98",
    "++model.binarize_mask_from_pts_for_mem_enc=true",
    f"++model.image_size={SIDE}",
    "++model.image_encoder.trunk.embed_dim=32",
    "++model.image_encoder.trunk.depth=2",
    "++model.image_encoder.trunk.num_heads=2",
    "++model.image_encoder.trunk.window_size=5",
    "++model.image_encoder.trunk.window_block_indexes=[0]",
    "++model.image_encoder.trunk.pretrain_img_size=80",
    "++model.image_encoder.neck.backbone_channel_list=[32]",
    "++model.compile_image_encoder=false",
    ROPE.format("self"),
    ROPE.format("cross"),
]
VARIANTS = {"none": "efficienttam_ti", "scores": "efficienttam_ti_1", "keys": "efficienttam_ti_2"}


class Float32Memories:
    """torch, for the original's predictor, which rounds memories to bfloat16."""

    bfloat16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


def small_config(pooling):
    """The same architecture as a config of ours."""
    import sam2_hf

    vision = {
        "backbone_config": {
            "model_type": "efficienttam_vit_model",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "pretrain_image_size": 80,
            "window_size": 5,
            "global_attention_blocks": [1],
        },
        "backbone_channel_list": [32],
        "backbone_feature_sizes": [[SIDE // stride] * 2 for stride in (4, 8, 16)],
    }
    return sam2_hf.EfficientTamVideoConfig(
        vision_config=vision,
        prompt_encoder_config={"image_size": SIDE},
        image_size=SIDE,
        memory_attention_rope_feat_sizes=[CELLS, CELLS],
        memory_attention_pooling=pooling,
    )


def original_predictor(checkout, pooling):
    """Build its video predictor for the CPU."""
    sys.path.append(str(checkout))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from efficient_track_anything import (
            build_efficienttam as build,
            efficienttam_video_predictor,
        )

        # not its function, which drops the overrides that it is given where there is no GPU
        config = build.compose(f"configs/efficienttam/{VARIANTS[pooling]}.yaml", overrides=SMALL)
        build.OmegaConf.resolve(config)
        model = build.instantiate(config.model, _recursive_=True)
    efficienttam_video_predictor.torch = Float32Memories()
    model.load_state_dict(seeded_weights(model))
    return model.eval()


def seeded_weights(model):
    shapes = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    return {name: torch.from_numpy(draw(name, shape)) for name, shape in shapes.items()}


def pixels():
    """Eight frames as model input, `(t, 3, SIDE, SIDE)`."""
    import numpy as np

    frames = torch.from_numpy(np.stack(clip(NUM_FRAMES, SIDE, SIDE, 3))).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (frames - mean[:, None, None]) / std[:, None, None]


def disc():
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (y - CLICK[1]) ** 2 + (x - CLICK[0]) ** 2 < 20**2


@torch.inference_mode()
def original_answers(model, prompt):
    """Track the clip with the original; low-resolution logits of each frame."""
    state = _state(model)
    if prompt == "click":
        model.add_new_points_or_box(state, 0, 1, points=[CLICK], labels=[1])
    else:
        model.add_new_mask(state, 0, 1, disc())
    answers = {}
    for frame, _, _ in model.propagate_in_video(state):
        of_object = state["output_dict_per_obj"][0]
        kind = "cond_frame_outputs" if frame == 0 else "non_cond_frame_outputs"
        answers[frame] = of_object[kind][frame]["pred_masks"][0, 0].float()
    return torch.stack([answers[frame] for frame in range(NUM_FRAMES)])


def _state(model):
    """Start a state on frames in memory, as `init_state` does on a folder."""
    with mock.patch(
        "efficient_track_anything.efficienttam_video_predictor.load_video_frames",
        return_value=(pixels(), SIDE, SIDE),
    ):
        return model.init_state("in memory", offload_video_to_cpu=False, offload_state_to_cpu=False)
