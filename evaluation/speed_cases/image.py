"""Photos: encoding, a click, and mask generation."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sam2_hf import (
    GeneratedMasks,
    MaskGenerationPipeline,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
)
from sam2_hf.model.checkpoints.released_models import released_config

from .original import OriginalModel
from .timing import (
    Result,
    Sides,
    draw_weights,
    require_as_exact,
    require_close,
    require_equal_masks,
    take_turns,
)

PHOTO_SIZE = (1200, 1800)  # rows, columns; a camera picture of moderate size
CLICK_XY = (900.0, 600.0)
MANY_CLICKS = 64
WANTED_SHARE = 0.1  # of masks to pass the IoU gate of mask generation


@dataclass(frozen=True, slots=True)
class Subjects:
    """The models, holding equal weights, and a picture.

    Attributes:
        ours: This package's.
        peer: transformers'.
        original: The original's, if requested.
        processor: Prepares pictures for all.
        photo: `(3, height, width)`, uint8.
        pixels: Model input, in the models' dtype.
        exact: Result in float32, the reference for half precision.
    """

    ours: Sam2Model
    peer: Any
    original: OriginalModel | None
    processor: Sam2Processor
    photo: Tensor
    pixels: Tensor
    exact: list[Tensor]

    @classmethod
    def build(cls, size: str, dtype: torch.dtype, checkout: Path | None) -> "Subjects":
        """Make random weights and a random smooth picture of `PHOTO_SIZE`."""
        torch.manual_seed(0)
        fields = released_config(f"sam2.1_hiera_{size}").to_dict()
        parts = {
            key: fields[key]
            for key in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
        }
        peer = transformers.Sam2Model(transformers.Sam2Config(**parts)).eval()
        draw_weights(peer)
        ours = Sam2Model(Sam2Config(**parts)).eval()
        ours.load_state_dict(peer.state_dict())
        original = None
        if checkout is not None:
            original = OriginalModel(checkout, size, ours.state_dict(), dtype)
        photo = smooth_photo()
        processor = Sam2Processor(Sam2ImageProcessor())
        pixels = processor(images=photo, return_tensors="pt")["pixel_values"]
        exact = ours.get_image_embeddings(pixels)
        peer.to(dtype)
        return cls(ours.to(dtype), peer, original, processor, photo, pixels.to(dtype), exact)

    @property
    def suffix(self) -> str:
        """Suffix of a case's name."""
        return "" if self.pixels.dtype == torch.float32 else ", bfloat16"


def smooth_photo() -> Tensor:
    """Draw a random smooth picture of `PHOTO_SIZE`, `(3, height, width)`, uint8."""
    rows, columns = PHOTO_SIZE
    coarse = torch.randint(0, 256, (1, 3, rows // 50, columns // 50)).float()
    wide = functional.interpolate(coarse, PHOTO_SIZE, mode="bicubic")
    return wide.clamp(0, 255)[0].to(torch.uint8)


def time_encode(subjects: Subjects, rounds: int) -> Result:
    """Time the image encoder."""
    ours, peer, original = subjects.ours, subjects.peer, subjects.original
    pixels = subjects.pixels
    sides = Sides(
        lambda: ours.get_image_embeddings(pixels),
        lambda: peer.get_image_embeddings(pixels),
        None if original is None else lambda: original.encode(pixels),
    )
    with torch.inference_mode():
        found = {name: work() for name, work in sides.all.items()}
    for name in set(found) - {"ours"}:
        for mine, theirs, exact in zip(found["ours"], found[name], subjects.exact, strict=True):
            _require(mine, theirs, exact, f"image embeddings of {name}")
    return take_turns(f"encode{subjects.suffix}", sides, rounds)


def _require(mine: Tensor, theirs: Tensor, exact: Tensor, what: str) -> None:
    if mine.dtype == torch.float32:
        require_close(mine, theirs, what)
    else:
        require_as_exact(mine, theirs, exact, what)


def time_click(subjects: Subjects, rounds: int) -> Result:
    """Time one click on an encoded picture, up to three boolean masks of the picture's size."""
    embeddings = subjects.ours.get_image_embeddings(subjects.pixels)
    click = subjects.processor(
        original_sizes=[PHOTO_SIZE],
        input_points=[[[list(CLICK_XY)]]],
        input_labels=[[[1]]],
        return_tensors="pt",
    )
    click.pop("original_sizes")
    original = subjects.original

    def ours() -> Tensor:
        answer = subjects.ours(image_embeddings=embeddings, **click)
        return subjects.processor.post_process_masks(answer.pred_masks, [PHOTO_SIZE])[0]

    def peer() -> Tensor:
        # its post_process_masks; its processor cannot be imported without torchvision
        logits = subjects.peer(image_embeddings=embeddings, **click).pred_masks[0].float()
        return functional.interpolate(logits, PHOTO_SIZE, mode="bilinear", align_corners=False) > 0

    def theirs() -> Tensor:
        if original is None:
            raise SystemExit("there is no original to ask.")
        maps = [m.float() for m in embeddings]
        return original.click(maps, click["input_points"].float(), PHOTO_SIZE)

    sides = Sides(ours, peer, None if original is None else theirs)
    with torch.inference_mode():
        if subjects.pixels.dtype == torch.float32:
            for name in set(sides.all) - {"ours"}:
                require_equal_masks(ours(), sides.all[name]())
    return take_turns(f"one click{subjects.suffix}", sides, 4 * rounds)


def time_many_clicks(subjects: Subjects, rounds: int, *, together: bool) -> Result:
    """Time many clicks on an encoded picture, in one call or in one each, up to the logits."""
    embeddings = subjects.ours.get_image_embeddings(subjects.pixels)
    points = torch.rand(1, MANY_CLICKS, 1, 2) * subjects.pixels.shape[-1]
    parts = points.split(MANY_CLICKS if together else 1, dim=1)

    def ask(model: Sam2Model) -> Tensor:
        found = [model(image_embeddings=embeddings, input_points=part) for part in parts]
        return torch.cat([answer.pred_masks for answer in found], dim=1)

    sides = Sides(lambda: ask(subjects.ours), lambda: ask(subjects.peer))
    if subjects.pixels.dtype == torch.float32:
        with torch.inference_mode():
            require_close(ask(subjects.ours), ask(subjects.peer), "masks of many clicks")
    how = "one call" if together else "one call each"
    return take_turns(f"{MANY_CLICKS} clicks, {how}{subjects.suffix}", sides, rounds)


def time_everything(subjects: Subjects, rounds: int, grid: int) -> Result:
    """Time mask generation through both pipelines, encoder included.

    transformers' pipeline uses this package's image processor: its own needs torchvision, and
    clicks wrong positions in non-square pictures.
    """
    gate = iou_gate(subjects)
    options: dict[str, Any] = {
        "pred_iou_thresh": gate,
        "stability_score_thresh": 0.5,
        "points_per_batch": 64,
    }
    generate = MaskGenerationPipeline(
        subjects.ours, subjects.processor, points_per_side=grid, **options
    )
    their_pipeline = transformers.pipeline(
        "mask-generation", model=subjects.peer, image_processor=subjects.processor.image_processor
    )
    picture = to_picture(subjects.photo)

    def ours() -> GeneratedMasks:
        return generate(picture)

    def peer() -> dict[str, Any]:
        return their_pipeline(picture, points_per_crop=grid, **options)

    mine, theirs = ours(), peer()
    if len(mine) != len(theirs["masks"]) or not len(mine):
        raise SystemExit(
            f"everything-mode finds {len(mine)} masks here and {len(theirs['masks'])} there."
        )
    for mask, other in zip(mine["masks"], theirs["masks"], strict=True):
        require_equal_masks(torch.as_tensor(mask), torch.as_tensor(other))
    return take_turns(f"everything, {grid} x {grid}", Sides(ours, peer), rounds)


def iou_gate(subjects: Subjects) -> float:
    """Return the predicted IoU that `WANTED_SHARE` of random clicks' masks exceed."""
    embeddings = subjects.ours.get_image_embeddings(subjects.pixels)
    points = torch.rand(1, 64, 1, 2) * subjects.pixels.shape[-1]
    with torch.inference_mode():
        iou = subjects.ours(image_embeddings=embeddings, input_points=points).iou_scores
    return iou.float().quantile(1 - WANTED_SHARE).item()


def to_picture(photo: Tensor) -> Image.Image:
    """Convert the picture to a user's input of a pipeline."""
    return Image.fromarray(photo.permute(1, 2, 0).numpy())


IMAGE_CASES: dict[str, Callable[[Subjects, int, int], Result]] = {
    "encode": lambda subjects, rounds, grid: time_encode(subjects, rounds),
    "click": lambda subjects, rounds, grid: time_click(subjects, rounds),
    "everything": time_everything,
    "clicks-together": lambda subjects, rounds, grid: time_many_clicks(
        subjects, rounds, together=True
    ),
    "clicks-apart": lambda subjects, rounds, grid: time_many_clicks(
        subjects, rounds, together=False
    ),
}
FLOAT32_ONLY = {"everything"}  # half precision flips masks at the thresholds, so lists differ
