"""The pictures, prompts and comparisons of tests/golden/make_golden.py."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seeded_inputs import photo
from seeded_weights import fill
from torch import Tensor

from sam2_hf import Sam2ImageProcessor, Sam2Model, Sam2Processor
from sam2_hf.model.checkpoints.checkpoint_names import to_ours
from sam2_hf.model.checkpoints.released_models import released_config
from sam2_hf.model.configs.configuration_sam2 import Sam2Config, with_image_size
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

GOLDEN = Path(__file__).parents[1] / "golden"
RELEASED = (
    "sam2.1_hiera_tiny",
    "sam2.1_hiera_small",
    "sam2.1_hiera_base_plus",
    "sam2.1_hiera_large",
    "sam2_hiera_tiny",
    "sam2_hiera_large",
)

# Tolerances stated in tests/golden/README.md, where it is measured what float32 itself is worth.
FEATURE_TOLERANCE = 1e-5  # of the deviation
LOGIT_TOLERANCE = 1e-3  # for the micro models
# At full width the golden files themselves lie up to 3.7e-3 from the same model in float64 (small,
# box), and so do transformers' classes on equal weights: random weights amplify rounding. Two
# float32 answers may lie twice as far from each other.
WIDE_LOGIT_TOLERANCE = 7.5e-3
IOU_TOLERANCE = 1e-4
AREA_TOLERANCE = (
    1e-3  # of the area: pixels whose logit is within rounding of 0 may fall on either side
)

BOX = [425.0, 600.0, 700.0, 875.0]
CLICKS = [[500.0, 375.0], [1125.0, 625.0], [40.0, 40.0]]


@dataclass(frozen=True)
class Case:
    """One architecture of the golden files."""

    name: str
    config: Sam2VideoConfig
    manifest: str

    @property
    def image_size(self) -> int:
        return self.config.image_size

    @property
    def logit_tolerance(self) -> float:
        return LOGIT_TOLERANCE if self.manifest.startswith("micro") else WIDE_LOGIT_TOLERANCE


def micro_config(version: str = "sam2.1") -> Sam2VideoConfig:
    """The small architecture of `micro.npz` (SAM 2.1) and `micro20.npz` (SAM 2.0)."""
    fields = with_image_size(released_config(f"{version}_hiera_tiny"), 256).to_dict()
    fields["vision_config"]["backbone_channel_list"] = [256, 128, 64, 32]
    fields["vision_config"]["backbone_config"].update(
        hidden_size=32,
        embed_dim_per_stage=[32, 64, 128, 256],
        blocks_per_stage=[1, 2, 3, 1],
        window_size_per_stage=[8, 4, 7, 4],
        global_attention_blocks=[4],
    )
    return Sam2VideoConfig.from_dict(fields)


@cache
def case(name: str) -> Case:
    """Describe the architecture of a golden file."""
    if name in ("micro", "micro20"):
        return Case(name, micro_config("sam2.1" if name == "micro" else "sam2"), name)
    if name == "512":
        return Case(
            name, with_image_size(released_config("sam2.1_hiera_tiny"), 512), "sam2.1_hiera_tiny"
        )
    return Case(name, released_config(name), name)


def seeded_weights(manifest: str) -> dict[str, Tensor]:
    """Draw a checkpoint's weights by formula, in original names."""
    shapes = json.loads((GOLDEN / "manifests" / f"{manifest}.json").read_text())
    return {name: torch.from_numpy(array) for name, array in fill(shapes).items()}


def image_config(of: Case) -> Sam2Config:
    """Describe the image part of an architecture."""
    fields = of.config.to_dict()
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    return Sam2Config(**{part: fields[part] for part in parts})


def seeded_model(of: Case, dtype: torch.dtype = torch.float32, *, fast: bool = False) -> Sam2Model:
    """Build the image model with the weights that are drawn by formula.

    Its faster ways are off unless asked for: they sum in another order, which these weights amplify
    to the size of the tolerances; see test_fast_golden.py.
    """
    weights = to_ours(seeded_weights(of.manifest))
    with torch.device("meta"):
        model = Sam2Model(image_config(of))
    wanted = model.state_dict().keys()
    model.load_state_dict({name: weights[name] for name in wanted}, assign=True)
    model.fast = fast
    return model.to(dtype).eval()


def seeded_video_model(of: Case, *, fast: bool = False) -> Sam2VideoModel:
    """Build the video model with the weights that are drawn by formula, as `seeded_model` does."""
    with torch.device("meta"):
        model = Sam2VideoModel(of.config)
    model.load_state_dict(to_ours(seeded_weights(of.manifest)), assign=True)
    model.fast = fast
    return model.eval()


def processor_for(of: Case) -> Sam2Processor:
    """Build the processor for an architecture's input size."""
    size = {"height": of.image_size, "width": of.image_size}
    return Sam2Processor(Sam2ImageProcessor(size=size))


def encoder_input(image_size: int) -> Tensor:
    """The random picture of the `encoder/*` entries."""
    draw = np.random.Generator(np.random.PCG64(0)).standard_normal(
        (1, 3, image_size, image_size), dtype=np.float32
    )
    return torch.from_numpy(draw)


@cache
def large_photo() -> np.ndarray:
    """The picture of the `image/*` entries."""
    return photo(1200, 1800, 1)


def disc_prompt(image_size: int) -> Tensor:
    """A mask prompt by formula: +8 inside a disc, -8 outside; `(1, 1, s, s)`."""
    side = image_size // 4
    y, x = np.mgrid[:side, :side]
    disc = np.where((y - side // 3) ** 2 + (x - side // 2) ** 2 < (side // 5) ** 2, 8.0, -8.0)
    return torch.from_numpy(disc.astype(np.float32))[None, None]


PROMPTS: dict[str, dict[str, Any]] = {
    "point": {"input_points": [[CLICKS[:1]]], "input_labels": [[[1]]]},
    "points": {"input_points": [[CLICKS]], "input_labels": [[[1, 1, 0]]]},
    "box": {"input_boxes": [[BOX]]},
    "box_point": {
        "input_boxes": [[BOX]],
        "input_points": [[[[575.0, 750.0]]]],
        "input_labels": [[[0]]],
    },
    "boxes": {
        "input_boxes": [
            [
                [75.0, 275.0, 1725.0, 850.0],
                BOX,
                [1375.0, 550.0, 1650.0, 800.0],
                [1240.0, 675.0, 1400.0, 750.0],
            ]
        ]
    },
}

QUESTIONS = [
    *(
        (f"{kind}/{mode}", kind, mode == "multi")
        for kind in ("point", "points", "box", "box_point")
        for mode in ("multi", "single")
    ),
    ("boxes", "boxes", False),
    ("mask_point", "points", False),
]


def probe(values: Tensor) -> np.ndarray:
    """Take the 1,024 evenly spread values that the golden files hold."""
    flat = values.detach().float().flatten().numpy()
    count = min(flat.size, 1024)
    return flat[np.arange(count) * (flat.size - 1) // max(count - 1, 1)]


def assert_like(golden: Any, key: str, values: Tensor, tolerance: float) -> None:
    """Compare a tensor with its golden entry; `tolerance` is absolute."""
    assert tuple(values.shape) == tuple(golden[f"{key}/shape"]), key
    worst = np.abs(probe(values) - golden[f"{key}/val"]).max()
    assert worst <= tolerance, f"{key}: off by {worst:.2e}, allowed {tolerance:.2e}"
    assert abs(values.double().mean().item() - golden[f"{key}/mean"]) <= tolerance, f"{key}: mean"
    assert abs(values.double().std().item() - golden[f"{key}/std"]) <= tolerance, (
        f"{key}: deviation"
    )
