"""facebookresearch/sam2 from a checkout, to be compared with.

    pytest --original CHECKOUT tests/original

hydra-core and iopath have to be importable. torchvision is not needed, nor could it stand beside
transformers' models; the few functions that the original takes of it are below. Its connected
components come from scipy instead of its CUDA extension.
"""

import importlib
import sys
import warnings
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
import torch
from original_predictor import connected_components
from torch import nn
from torch.nn import functional


class ToTensor:
    def __call__(self, picture):
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        return pixels.float() / 255


class Resize(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, pixels):
        return functional.interpolate(
            pixels[None], self.size, mode="bilinear", align_corners=False, antialias=True
        )[0]


class Normalize(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = (torch.tensor(one)[:, None, None] for one in (mean, std))

    def forward(self, pixels):
        return (pixels - self.mean) / self.std


def box_area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def batched_nms(boxes, scores, categories, iou_threshold):
    """Keep the best of boxes that overlap; there is a single category."""
    order = scores.argsort(descending=True, stable=True).tolist()
    areas, kept = box_area(boxes), []
    while order:
        best, *rest = order
        kept.append(best)
        overlap = (
            torch.minimum(boxes[rest, 2:], boxes[best, 2:])
            - torch.maximum(boxes[rest, :2], boxes[best, :2])
        ).clamp(min=0)
        inside = overlap.prod(dim=1)
        iou = inside / (areas[rest] + areas[best] - inside)
        order = [
            one for one, value in zip(rest, iou.tolist(), strict=True) if value <= iou_threshold
        ]
    return torch.tensor(kept, dtype=torch.int64)


@contextmanager
def stand_in_torchvision():
    """Let the original import what it needs of torchvision."""
    modules = {
        name: ModuleType(name)
        for name in ("torchvision", "torchvision.transforms", "torchvision.ops")
    }
    modules["torchvision.ops.boxes"] = ModuleType("torchvision.ops.boxes")
    vars(modules["torchvision.transforms"]).update(
        ToTensor=ToTensor, Resize=Resize, Normalize=Normalize
    )
    vars(modules["torchvision.ops.boxes"]).update(batched_nms=batched_nms, box_area=box_area)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


class OriginalPeer:
    """The original's modules.

    Args:
        checkout: Folder of the repository.
    """

    NAMES = (
        "build_sam",
        "sam2_image_predictor",
        "automatic_mask_generator",
        "sam2_video_predictor",
    )

    def __init__(self, checkout):
        self.checkout = checkout
        if not (checkout / "sam2" / "build_sam.py").is_file():
            pytest.skip(f"--original: {checkout} is no checkout of facebookresearch/sam2")
        sys.path.append(
            str(checkout)
        )  # it stays there: hydra looks for configs when a model is built
        try:
            with stand_in_torchvision(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name in self.NAMES:
                    setattr(self, name, importlib.import_module(f"sam2.{name}"))
                misc = importlib.import_module("sam2.utils.misc")
        except ImportError as error:
            pytest.skip(f"--original: {error}; it needs hydra-core and iopath")
        misc.get_connected_components = connected_components

    def image_predictor(self, model, **options):
        """Make its predictor, for any input size."""
        with mock.patch("torch.jit.script", lambda module: module):
            predictor = self.sam2_image_predictor.SAM2ImagePredictor(model, **options)
        side = model.image_size
        predictor._bb_feat_sizes = [(side // stride,) * 2 for stride in (4, 8, 16)]
        return predictor

    def mask_generator(self, model, **options):
        """Make its generator, for any input size."""
        with mock.patch("torch.jit.script", lambda module: module):
            generator = self.automatic_mask_generator.SAM2AutomaticMaskGenerator(model, **options)
        side = model.image_size
        generator.predictor._bb_feat_sizes = [(side // stride,) * 2 for stride in (4, 8, 16)]
        return generator
