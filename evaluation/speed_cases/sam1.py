"""SAM 2's images and clicks beside those of the first SAM, the headline of its paper.

The models differ, so their answers are not compared; all have random weights and take pictures of
1024 x 1024 pixels. The abstract of the paper says six times faster, on an A100. The rates behind
it, 130 images per second with base_plus and 21.7 with ViT-H, are quoted from memory.

Source: SAM 2 paper (arXiv 2408.00714), abstract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn import functional

from sam2_hf import Sam2Config, Sam2Model
from sam2_hf.model.checkpoints.released_models import released_config

from .image import CLICK_XY, PHOTO_SIZE
from .timing import Result, draw_weights, seconds

SIZES = ("tiny", "small", "base_plus", "large")
SAM_TRUNKS: Mapping[str, dict[str, Any]] = {
    "ViT-H": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "mlp_dim": 5120,
        "global_attn_indexes": [7, 15, 23, 31],
    },
    "ViT-B": {},  # transformers' default
}
PUBLISHED = {("base_plus", "ViT-H"): " (paper, A100: 6x; from memory: 130 and 21.7 images/s)"}


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model and what it is asked.

    Attributes:
        model: This package's or transformers' `SamModel`; they have the same methods.
        pixels: Its input, `(1, 3, image_size, image_size)`.
    """

    model: Any
    pixels: Tensor

    @classmethod
    def of(cls, model: Any, side: int) -> "Contestant":  # noqa: ANN401 - either package's
        """Give a model random weights and a random picture.

        Args:
            model: The model.
            side: Of its input, model pixels.
        """
        draw_weights(model)
        return cls(model.eval(), torch.randn(1, 3, side, side))

    def encode(self) -> Any:  # noqa: ANN401 - a tensor or a list of them
        """Encode the picture."""
        return self.model.get_image_embeddings(self.pixels)

    def click(self, embeddings: Any) -> Tensor:  # noqa: ANN401 - what `encode` returns
        """Segment a click, up to three boolean masks of the photo's size."""
        rows, columns = PHOTO_SIZE
        side = self.pixels.shape[-1]
        xy = [CLICK_XY[0] * side / columns, CLICK_XY[1] * side / rows]
        answer = self.model(
            image_embeddings=embeddings,
            input_points=torch.tensor([[[xy]]]),
            input_labels=torch.ones(1, 1, 1, dtype=torch.int32),
        )
        masks = answer.pred_masks[0].float()
        return functional.interpolate(masks, PHOTO_SIZE, mode="bilinear", align_corners=False) > 0


def time_against_sam(rounds: int) -> list[Result]:
    """Time all four sizes against ViT-H and ViT-B."""
    torch.manual_seed(0)
    ours, theirs = {}, {}
    for size in SIZES:
        fields = released_config(f"sam2.1_hiera_{size}").to_dict()
        ours[size] = Contestant.of(Sam2Model(Sam2Config.from_dict(fields)), 1024)
    for name, trunk in SAM_TRUNKS.items():
        config = transformers.SamConfig(vision_config=trunk)
        theirs[name] = Contestant.of(transformers.SamModel(config), 1024)
    return compare_models(ours, theirs, rounds)


def compare_models(
    ours: Mapping[str, Contestant], theirs: Mapping[str, Contestant], rounds: int
) -> list[Result]:
    """Let all models take turns; return a row for each pair, of images a second and of clicks.

    Args:
        ours: This package's models by name.
        theirs: The first SAM's.
        rounds: Rounds of encoding; four times as many clicks.
    """
    everyone = {**ours, **theirs}
    encoding = _turns({name: rival.encode for name, rival in everyone.items()}, rounds)
    with torch.inference_mode():
        encoded = {name: rival.encode() for name, rival in everyone.items()}
    clicks = {name: partial(rival.click, encoded[name]) for name, rival in everyone.items()}
    clicking = _turns(clicks, 4 * rounds)
    results = []
    for size in ours:
        for sam in theirs:
            beside = PUBLISHED.get((size, sam), "")
            results.append(_rates(f"encode, {size} and SAM {sam}{beside}", encoding, (size, sam)))
    for size in ours:
        for sam in theirs:
            mine, other = clicking[size], clicking[sam]
            ratio = round(other / mine, 2)
            results.append(Result(f"one click, {size} and SAM {sam}", mine, other, ratio=ratio))
    return results


def _turns(works: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Run all alternately; return the median seconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return {name: sorted(times)[len(times) // 2] for name, times in taken.items()}


def _rates(case: str, taken: Mapping[str, float], pair: tuple[str, str]) -> Result:
    mine, other = (1 / taken[name] for name in pair)
    return Result(case, mine, other, ratio=round(mine / other, 2), unit="images/s")
