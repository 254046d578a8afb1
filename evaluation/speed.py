"""Time this package against transformers' SAM 2: one process, equal weights, equal answers.

    python -m evaluation.speed --size tiny --rounds 5 --out speed.json
    python -m evaluation.speed --cases train-photos train-clips --training-data PATH

Both sides take turns, so that whatever else the machine does hits both; what counts is the ratio of
medians. Before anything is timed, the answers are compared: a fast wrong answer ends the run with
an error. float32 only: in bfloat16 the two sides round differently, and equal answers could not be
asked for. Training has no peer: transformers cannot train on videos. The metric's peer is the
definition, over whole frames.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
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
from sam2_hf.model.released_models import released_config

from .environment import describe_environment
from .metric_speed import time_metric
from .timing import Result, draw_weights, require_close, require_equal_masks, take_turns
from .training_speed import TRAINING_CASES
from .video_speed import VIDEO_CASES

PHOTO_SIZE = (1200, 1800)  # rows, columns; a camera picture of moderate size
GRID = 16  # clicks per side in everything-mode; the original's default is 32
WANTED_SHARE = 0.1  # of the masks pass the gate of everything-mode


@dataclass(frozen=True, slots=True)
class Subjects:
    """The two models, holding equal weights, and a picture."""

    ours: Sam2Model
    peer: Any
    processor: Sam2Processor
    photo: Tensor
    pixels: Tensor

    @classmethod
    def build(cls, size: str) -> "Subjects":
        """Draw random weights and a random smooth picture of `PHOTO_SIZE`."""
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
        rows, columns = PHOTO_SIZE
        coarse = torch.randint(0, 256, (1, 3, rows // 50, columns // 50)).float()
        photo = (
            functional.interpolate(coarse, PHOTO_SIZE, mode="bicubic")
            .clamp(0, 255)[0]
            .to(torch.uint8)
        )
        processor = Sam2Processor(Sam2ImageProcessor())
        pixels = processor(images=photo, return_tensors="pt")["pixel_values"]
        return cls(ours, peer, processor, photo, pixels)


def time_encode(subjects: Subjects, rounds: int) -> Result:
    """Time the image encoder."""
    ours, peer, pixels = subjects.ours, subjects.peer, subjects.pixels
    for mine, theirs in zip(
        ours.get_image_embeddings(pixels), peer.get_image_embeddings(pixels), strict=True
    ):
        require_close(mine, theirs, "image embeddings")
    return take_turns(
        "encode",
        lambda: ours.get_image_embeddings(pixels),
        lambda: peer.get_image_embeddings(pixels),
        rounds,
    )


def time_click(subjects: Subjects, rounds: int) -> Result:
    """Time one click on an encoded picture, up to three boolean masks of the picture's size."""
    embeddings = subjects.ours.get_image_embeddings(subjects.pixels)
    click = subjects.processor(
        original_sizes=[PHOTO_SIZE],
        input_points=[[[[900.0, 600.0]]]],
        input_labels=[[[1]]],
        return_tensors="pt",
    )
    click.pop("original_sizes")

    def ours() -> Tensor:
        answer = subjects.ours(image_embeddings=embeddings, **click)
        return subjects.processor.post_process_masks(answer.pred_masks, [PHOTO_SIZE])[0]

    def peer() -> (
        Tensor
    ):  # what its post_process_masks does; its processor needs torchvision to be imported
        answer = subjects.peer(image_embeddings=embeddings, **click)
        return (
            functional.interpolate(
                answer.pred_masks[0], PHOTO_SIZE, mode="bilinear", align_corners=False
            )
            > 0.0
        )

    require_equal_masks(ours(), peer())
    return take_turns("one click", ours, peer, 4 * rounds)


def time_everything(subjects: Subjects, rounds: int) -> Result:
    """Time everything-mode through both pipelines, encoder included.

    transformers' pipeline gets this package's image processor: its own needs torchvision, and would
    click on the wrong places of a picture that is not square.
    """
    gate = iou_gate(subjects)
    options = {"pred_iou_thresh": gate, "stability_score_thresh": 0.5, "points_per_batch": 64}
    generate = MaskGenerationPipeline(
        subjects.ours, subjects.processor, points_per_side=GRID, **options
    )
    their_pipeline = transformers.pipeline(
        "mask-generation", model=subjects.peer, image_processor=subjects.processor.image_processor
    )
    picture = to_picture(subjects.photo)

    def ours() -> GeneratedMasks:
        return generate(picture)

    def peer() -> dict[str, Any]:
        return their_pipeline(picture, points_per_crop=GRID, **options)

    mine, theirs = ours(), peer()
    if len(mine) != len(theirs["masks"]) or not len(mine):
        raise SystemExit(
            f"everything-mode finds {len(mine)} masks here and {len(theirs['masks'])} there."
        )
    for one, other in zip(mine["masks"], theirs["masks"], strict=True):
        require_equal_masks(torch.as_tensor(one), torch.as_tensor(other))
    return take_turns(f"everything, {GRID} x {GRID}", ours, peer, rounds)


def iou_gate(subjects: Subjects) -> float:
    """Find the predicted IoU that lets `WANTED_SHARE` of random clicks' masks pass."""
    embeddings = subjects.ours.get_image_embeddings(subjects.pixels)
    points = torch.rand(1, 64, 1, 2) * subjects.pixels.shape[-1]
    with torch.inference_mode():
        iou = subjects.ours(image_embeddings=embeddings, input_points=points).iou_scores
    return iou.float().quantile(1 - WANTED_SHARE).item()


def to_picture(photo: Tensor) -> Image.Image:
    """Hand the picture to a pipeline the way a user does."""
    return Image.fromarray(photo.permute(1, 2, 0).numpy())


def as_table(results: list[Result]) -> str:
    """Write the results as a Markdown table."""
    rows = ["| case | sam2_hf | transformers | ratio | spread |", "|---|---|---|---|---|"]
    for r in results:
        theirs = "not run" if r.transformers is None else f"{r.transformers:.3f} {r.unit}"
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}x"
        rows.append(f"| {r.case} | {r.ours:.3f} {r.unit} | {theirs} | {ratio} | {r.spread:.0%} |")
    return "\n".join(rows)


def environment(size: str) -> dict[str, Any]:
    """Record what the figures depend on."""
    return {
        "size": size,
        "threads": torch.get_num_threads(),
        **asdict(describe_environment(torch.device("cpu"), torch.float32)),
    }


IMAGE_CASES = {"encode": time_encode, "click": time_click, "everything": time_everything}
METRIC_CASE = "metric"
CASES = [*IMAGE_CASES, *VIDEO_CASES, *TRAINING_CASES, METRIC_CASE]


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", default="tiny", choices=["tiny", "small", "base_plus", "large"])
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each side runs (a click: four times that)"
    )
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument(
        "--training-data",
        type=Path,
        metavar="PATH",
        help="train on bsds500/ and davis16-half/ of this folder instead of made-up clips",
    )
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Time the cases and print a table."""
    options = build_parser().parse_args(arguments)
    results: list[Result] = []
    subjects = Subjects.build(options.size) if set(options.cases) & set(IMAGE_CASES) else None
    for name in options.cases:
        if name in IMAGE_CASES and subjects is not None:
            results.append(IMAGE_CASES[name](subjects, options.rounds))
        elif name == METRIC_CASE:
            results.extend(time_metric(options.rounds))
        elif name in TRAINING_CASES:
            results.extend(TRAINING_CASES[name](options.training_data, options.rounds))
        else:
            results.extend(VIDEO_CASES[name](options.size))
        sys.stderr.write(f"{results[-1]}\n")
    sys.stdout.write(as_table(results) + "\n")
    if options.out:
        record = {
            "environment": environment(options.size),
            "results": [asdict(r) for r in results],
        }
        options.out.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
