"""Speed of this package against the other two implementations, with equal weights and answers.

    python -m evaluation.speed --out speed.json
    python -m evaluation.speed --cases encode video1 --dtypes bfloat16 --original ~/sam2
    python -m evaluation.speed --cases gpu-checks gpu --dtypes bfloat16 --size tiny
    python -m evaluation.speed --cases train-photos train-clips --training-data PATH
    python -m evaluation.speed --cases sam1 --rounds 3

All sides alternate in one process, so that other load on the machine affects all; the result is the
ratio of medians to the faster of the others. Before timing, answers are compared: a wrong answer
ends the run with an error. In bfloat16, where rounding always differs, both are compared with
float32, except for a click, which is only compared in float32. Loading is timed in separate
processes. Training has no peer: transformers cannot train on videos. The metric's peer is its
definition, over whole frames. The first SAM is another model, so its answers are not compared.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from evaluation.speed_cases.accelerator import time_on_gpu
from evaluation.speed_cases.batch import time_batches
from evaluation.speed_cases.gpu_checks import check_gpu
from evaluation.speed_cases.image import FLOAT32_ONLY, IMAGE_CASES, Subjects
from evaluation.speed_cases.load import LOAD_CASES
from evaluation.speed_cases.metric import time_metric
from evaluation.speed_cases.sam1 import time_against_sam
from evaluation.speed_cases.timing import Result
from evaluation.speed_cases.training import TRAINING_CASES
from evaluation.speed_cases.video import SESSION_CASES, VIDEO_CASES, time_policies, time_tracking

from .environment import describe_environment

METRIC_CASE = "metric"
BATCH_CASE = "batch"
GPU_CASES = {"gpu-checks": check_gpu, "gpu": time_on_gpu}  # on request only
SAM_CASE = "sam1"  # on request only: it takes minutes and 5 GB
POLICY_CASE = "policies"  # on request only: nothing to compare with
CASES = [
    *(*IMAGE_CASES, *VIDEO_CASES, *SESSION_CASES, *LOAD_CASES, *TRAINING_CASES),
    *(METRIC_CASE, BATCH_CASE),
]
OTHERS: dict[str, Callable[[argparse.Namespace], Iterable[Result]]] = {
    BATCH_CASE: lambda options: time_batches(),
    METRIC_CASE: lambda options: time_metric(options.rounds),
    POLICY_CASE: lambda options: time_policies(options.size),
    SAM_CASE: lambda options: time_against_sam(options.rounds),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
GRID = 16  # clicks per side in everything-mode; the original's default is 32


def as_table(results: list[Result]) -> str:
    """Format the results as a Markdown table."""
    rows = [
        "| case | sam2_hf | transformers | original | ratio | spread |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        cells = [_formatted(value, r.unit) for value in (r.ours, r.transformers, r.original)]
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}x"
        rows.append(f"| {r.case} | {' | '.join(cells)} | {ratio} | {r.spread:.0%} |")
    return "\n".join(rows)


def _formatted(value: float | None, unit: str) -> str:
    return "not run" if value is None else f"{value:.3f} {unit}"


def environment(size: str) -> dict[str, Any]:
    """Describe the environment of the figures."""
    return {
        "size": size,
        "threads": torch.get_num_threads(),
        "amx": torch.cpu._is_amx_tile_supported(),
        **asdict(describe_environment(torch.device("cpu"), torch.float32)),
    }


def run_cases(options: argparse.Namespace) -> Iterator[Result]:
    """Run the requested cases."""
    for name in options.dtypes:
        yield from _run_in(DTYPES[name], options)
    for case in options.cases:
        if case in LOAD_CASES:
            yield from LOAD_CASES[case](options.size, options.rounds, options.original)
        elif case in SESSION_CASES:
            yield from SESSION_CASES[case](options.size)
        elif case in TRAINING_CASES:
            yield from TRAINING_CASES[case](options.training_data, options.rounds)
        elif case in OTHERS:
            yield from OTHERS[case](options)


def _run_in(dtype: torch.dtype, options: argparse.Namespace) -> Iterator[Result]:
    """Run the cases that depend on a dtype."""
    left_out = set() if dtype == torch.float32 else FLOAT32_ONLY
    images = [case for case in options.cases if case in IMAGE_CASES and case not in left_out]
    if images:
        subjects = Subjects.build(options.size, dtype, options.original)
        for case in images:
            yield IMAGE_CASES[case](subjects, options.rounds, options.grid)
    for case in options.cases:
        if case in VIDEO_CASES:
            yield from time_tracking(options.size, VIDEO_CASES[case], dtype, options.original)
        elif case in GPU_CASES:
            yield from GPU_CASES[case](options.size, dtype)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", default="tiny", choices=["tiny", "small", "base_plus", "large"])
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds per side (a click: four times that)"
    )
    on_request = [*GPU_CASES, SAM_CASE, POLICY_CASE]
    parser.add_argument("--cases", nargs="+", default=CASES, choices=[*CASES, *on_request])
    parser.add_argument("--dtypes", nargs="+", default=["float32"], choices=list(DTYPES))
    parser.add_argument("--grid", type=int, default=GRID, help="clicks per side in everything-mode")
    parser.add_argument(
        "--original",
        type=Path,
        metavar="PATH",
        help="a checkout of facebookresearch/sam2 to time as well; needs hydra-core and iopath",
    )
    parser.add_argument(
        "--training-data",
        type=Path,
        metavar="PATH",
        help="train on bsds500/ and davis16-half/ of this folder instead of synthetic clips",
    )
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Time the cases and print a table."""
    options = build_parser().parse_args(arguments)
    results: list[Result] = []
    for result in run_cases(options):
        results.append(result)
        sys.stderr.write(f"{result}\n")
    sys.stdout.write(as_table(results) + "\n")
    if options.out:
        record = {
            "environment": environment(options.size),
            "results": [result.as_json() for result in results],
        }
        options.out.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
