"""facebookresearch/sam2's own video predictor with the micro weights, out of a checkout.

It needs hydra-core and iopath to be importable, and no torchvision.
"""

import sys
import warnings

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from seeded_inputs import clip
from seeded_weights import draw

ROPE = "++model.memory_attention.layer.{}_attention.feat_sizes=[16,16]"
MICRO = [  # as in make_golden.py, which cannot be imported without the original
    "++model.image_size=256",
    "++model.image_encoder.trunk.embed_dim=32",
    "++model.image_encoder.trunk.stages=[1,2,3,1]",
    "++model.image_encoder.trunk.global_att_blocks=[4]",
    "++model.image_encoder.trunk.window_spec=[8,4,7,4]",
    "++model.image_encoder.neck.backbone_channel_list=[256,128,64,32]",
    ROPE.format("self"),
    ROPE.format("cross"),
]


class Float32Memories:
    """torch, for the original's predictor, which rounds memories to bfloat16."""

    bfloat16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


def original_video_predictor(checkout):
    """Build it for the CPU: memories in float32, connected components by scipy."""
    sys.path.append(str(checkout))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2 import sam2_video_predictor
        from sam2.build_sam import build_sam2_video_predictor
        from sam2.utils import misc
    sam2_video_predictor.torch = Float32Memories()
    misc.get_connected_components = connected_components
    config = "configs/sam2.1/sam2.1_hiera_t.yaml"
    model = build_sam2_video_predictor(config, None, device="cpu", hydra_overrides_extra=MICRO)
    shapes = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    model.load_state_dict({n: torch.from_numpy(draw(n, shape)) for n, shape in shapes.items()})
    return model


def connected_components(masks_b1hw):
    """Label patches and count their pixels, as the original's CUDA extension does."""
    labels, areas = torch.zeros_like(masks_b1hw, dtype=torch.int32), []
    for row, mask_1hw in enumerate(masks_b1hw):
        found, _ = ndimage.label(mask_1hw[0].numpy(), structure=np.ones((3, 3)))
        labels[row, 0] = torch.from_numpy(found)
        count = np.bincount(found.reshape(-1))
        count[0] = 0
        areas.append(torch.from_numpy(count[found])[None])
    return labels, torch.stack(areas)


def lossless_folder(folder, num_frames, height, width):
    """Write frames as lossless files of the name that the original reads; return the folder."""
    for number, frame in enumerate(clip(num_frames, height, width, 3)):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
        (folder / f"{number:05d}.png").rename(folder / f"{number:05d}.jpg")
    return folder
