"""Time this package against transformers' SAM 2: one process, equal weights, equal answers.

    python -m evaluation.speed --size tiny --rounds 5 --out speed.json

Both sides take turns, so that whatever else the machine does hits both; what counts is the ratio of
medians. Before anything is timed, the answers are compared: a fast wrong answer ends the run with
an error. float32 only: in bfloat16 the two sides round differently, and equal answers could not be
asked for.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor
from torch.nn import functional

import sam2_hf
from sam2_hf import (
    GeneratedMasks,
    MaskGenerationPipeline,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
)
from sam2_hf.model.released_models import released_config

PHOTO_SIZE = (1200, 1800)  # rows, columns; a camera picture of moderate size
GRID = 16  # clicks per side in everything-mode; the original's default is 32
TOLERANCE = 1e-3  # logits; both are float32 and differ by the order of summation
FLIPPED_PIXELS = 1e-4  # share of a mask whose logits are within rounding of the threshold
WANTED_SHARE = 0.1  # of the masks pass the gate of everything-mode

Timed = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of one case, in seconds, and how many times faster this package is."""

    case: str
    ours: float
    transformers: float
    ratio: float
    spread: float


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
        for name, parameter in peer.named_parameters():
            if (
                "norm" not in name
            ):  # the library's first weights are so small that every mask is a constant
                torch.nn.init.normal_(parameter, std=fan_in(parameter) ** -0.5)
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


def fan_in(parameter: Tensor) -> int:
    """Count a weight's inputs per output; 400 for vectors, whose deviation is then 0.05."""
    return parameter[0].numel() if parameter.dim() > 1 else 400


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


def take_turns(case: str, ours: Timed, peer: Timed, rounds: int) -> Result:
    """Run both in turn; the spread is the distance of the ratios' quartiles over their median."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(seconds(ours))
        theirs.append(seconds(peer))
    ratios = sorted(t / m for m, t in zip(mine, theirs, strict=True))
    spread = (ratios[len(ratios) * 3 // 4] - ratios[len(ratios) // 4]) / statistics.median(ratios)
    first, second = statistics.median(mine), statistics.median(theirs)
    return Result(
        case, round(first, 4), round(second, 4), round(second / first, 2), round(spread, 2)
    )


def seconds(work: Timed) -> float:
    """Time one call."""
    start = time.perf_counter()
    with torch.inference_mode():
        work()
    return time.perf_counter() - start


def require_close(mine: Tensor, theirs: Tensor, what: str) -> None:
    """End the run if two float tensors differ by more than rounding."""
    worst = (mine.float() - theirs.float()).abs().max().item()
    if worst > TOLERANCE * max(1.0, theirs.float().std().item()):
        raise SystemExit(
            f"{what} differ by {worst:.2e}: nothing is timed until the answers are equal."
        )


def require_equal_masks(mine: Tensor, theirs: Tensor) -> None:
    """End the run if two boolean masks differ in more than a few boundary pixels."""
    share = (mine != theirs).float().mean().item()
    if share > FLIPPED_PIXELS:
        raise SystemExit(
            f"masks differ in {share:.2%} of their pixels: nothing is timed until they are equal."
        )


def as_table(results: list[Result]) -> str:
    """Write the results as a Markdown table."""
    rows = ["| case | sam2_hf | transformers | ratio | spread |", "|---|---|---|---|---|"]
    rows += [
        f"| {r.case} | {r.ours:.3f} s | {r.transformers:.3f} s | {r.ratio:.2f}x | {r.spread:.0%} |"
        for r in results
    ]
    return "\n".join(rows)


def environment(size: str) -> dict[str, Any]:
    """Record what the figures depend on."""
    return {
        "size": size,
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "sam2_hf": sam2_hf.__version__,
    }


CASES = {"encode": time_encode, "click": time_click, "everything": time_everything}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", default="tiny", choices=["tiny", "small", "base_plus", "large"])
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each side runs (a click: four times that)"
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Time the cases and print a table."""
    options = build_parser().parse_args(arguments)
    subjects = Subjects.build(options.size)
    results = []
    for name in options.cases:
        results.append(CASES[name](subjects, options.rounds))
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
