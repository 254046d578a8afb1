"""Start-up: import and load from disk, each side in fresh processes.

Importing torch is excluded, since all sides need it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from sam2_hf import Sam2VideoConfig, Sam2VideoModel
from sam2_hf.model.checkpoints.checkpoint_names import to_original
from sam2_hf.model.checkpoints.released_models import released_config

from .original import CONFIG, CONFIGS
from .timing import Result, compare

PROGRAM = (
    "import time, torch; begin = time.perf_counter(); {work}; print(time.perf_counter() - begin)"
)
OURS = "from sam2_hf import Sam2VideoModel as M; M.from_pretrained({folder!r})"
THEIRS = "from transformers import Sam2VideoModel as M; M.from_pretrained({folder!r})"
ORIGINAL = (
    "import sys; sys.path.insert(0, {checkout!r}); from sam2.build_sam import "
    "build_sam2_video_predictor as b; b({config!r}, {file!r}, device='cpu')"
)


def time_load(size: str, rounds: int, checkout: Path | None) -> list[Result]:
    """Time `from_pretrained` of a model on disk, import included, with files in the OS cache."""
    with tempfile.TemporaryDirectory() as folder:
        config = Sam2VideoConfig.from_dict(released_config(f"sam2.1_hiera_{size}").to_dict())
        model = Sam2VideoModel(config)
        model.save_pretrained(folder)
        work = {
            "ours": OURS.format(folder=folder),
            "transformers": THEIRS.format(folder=folder),
        }
        if checkout is not None:
            file = str(Path(folder) / "original.pt")
            torch.save({"model": to_original(model.state_dict())}, file)
            name = CONFIG.format(letter=CONFIGS[size])
            work["original"] = ORIGINAL.format(checkout=str(checkout), config=name, file=file)
        return [_in_turn(f"import and load, {size}", work, rounds)]


def time_import(size: str, rounds: int, checkout: Path | None) -> list[Result]:
    """Time the import of the class that a user needs."""
    work = {
        "ours": "from sam2_hf import Sam2VideoModel",
        "transformers": "from transformers import Sam2VideoModel",
    }
    return [_in_turn("import", work, rounds)]


def _in_turn(case: str, work: dict[str, str], rounds: int) -> Result:
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, statement in work.items():
            times[name].append(_seconds(statement))
    # the first round fills the OS cache
    return compare(case, {name: taken[1:] for name, taken in times.items()})


def _seconds(statement: str) -> float:
    """Run a statement in a new process; return its duration."""
    command = [sys.executable, "-c", PROGRAM.format(work=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{statement} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


LOAD_CASES: dict[str, Callable[[str, int, Path | None], list[Result]]] = {
    "import": time_import,
    "load": time_load,
}
