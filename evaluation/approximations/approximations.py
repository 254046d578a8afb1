"""The precisions and input sizes that are compared, each on the same photos.

Suffixes: n = objects, h, w = rows and columns of the photo.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import cast

import numpy as np
import torch
from torch import Tensor

from evaluation.images.clicking import click_together, embed
from sam2_hf import Sam2Config, Sam2Model
from sam2_hf.data.clip import Clip
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.pipelines.loading import load_model

BASE = "float32"  # the case that all others are compared with
STEP = 32  # the trunk halves the input five times


@dataclass(frozen=True, slots=True)
class Approximation:
    """A precision and input size to compare.

    Attributes:
        dtype: Of the weights, as of `pipeline`.
        size: Side of the input as a part of the model's own.
    """

    dtype: str = "float32"
    size: float = 1.0

    def load(self, model: str) -> Sam2Model:
        """Load a model on the CPU; `model` is a folder, Hub id or bundled name."""
        config = Sam2Config.from_pretrained(model)
        if self.size != 1.0:
            own = cast(int, config.prompt_encoder_config.image_size)
            side = round(own * self.size / STEP) * STEP
            config = with_image_size(config, side)
        return load_model(model, device="cpu", dtype=self.dtype, config=config)


APPROXIMATIONS: dict[str, Approximation] = {
    BASE: Approximation(),
    "bfloat16": Approximation("bfloat16"),
    "int8": Approximation("int8"),
    "1/2 input size": Approximation(size=0.5),
    "int8, 1/2 input size": Approximation("int8", 0.5),
}


@dataclass(slots=True)
class ApproximationScores:
    """Measurements of one case.

    Attributes:
        seconds: Of encoding each photo.
        same: IoU of each object's mask with that of float32.
        true: IoU of each object's mask with the true one.
    """

    seconds: list[float] = field(default_factory=list)
    same: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)


def measure_photo(
    photo: Clip,
    models: Mapping[str, Sam2Model],
    found: Mapping[str, ApproximationScores],
    turn: int,
) -> None:
    """Encode a photo and click each object once in all cases, and add what they give.

    Args:
        photo: A clip of one frame.
        models: By case; `BASE` is one of them.
        found: Results by case, added to.
        turn: Which case begins, so that none always comes first.
    """
    truth_nhw = torch.from_numpy(photo.masks_othw[:, 0])
    names = list(models)
    first = turn % len(names)
    masks: dict[str, Tensor] = {}
    for name in [*names[first:], *names[:first]]:
        start = time.perf_counter()
        with torch.inference_mode():
            embeddings = embed(models[name], photo)
        found[name].seconds.append(time.perf_counter() - start)
        masks[name] = next(click_together(models[name], embeddings, truth_nhw, 1))
    for name, masks_nhw in masks.items():
        found[name].same.extend(_ious(masks_nhw, masks[BASE]))
        found[name].true.extend(_ious(masks_nhw, truth_nhw))


def _ious(masks_nhw: Tensor, others_nhw: Tensor) -> list[float]:
    """IoU of each mask with the other one; 1 if both are empty."""
    both = (masks_nhw & others_nhw).flatten(1).sum(1)
    either = (masks_nhw | others_nhw).flatten(1).sum(1)
    return torch.where(either > 0, both / either.clamp(min=1), 1.0).tolist()


def as_table(found: Mapping[str, ApproximationScores]) -> str:
    """Write a table: time of encoding, and IoU with the masks of float32 and with the true ones."""
    base = found[BASE]
    rows = [
        ["case", "time / float32", "IoU with float32", "below 0.9", "IoU with the true mask"],
        ["---"] * 5,
    ]
    for name, measured in found.items():
        ratios = [a / b for a, b in zip(measured.seconds, base.seconds, strict=True)]
        rows.append(
            [
                name,
                f"{median(ratios):.2f}",
                f"{np.mean(measured.same):.3f}",
                f"{np.mean(np.array(measured.same) < 0.9):.1%}",
                f"{np.mean(measured.true):.3f}",
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
