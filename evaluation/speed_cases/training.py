"""Training: clips per second, and the fraction of time spent waiting for the loader.

    python -m evaluation.speed --cases train-photos train-clips
    python -m evaluation.speed --cases train-photos train-clips --training-data PATH

Runs the trainer with the bundled model's architecture and random weights, on synthetic clips, or on
the photos and clips of PATH (with bsds500/ and davis16-half/).
"""

import csv
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from sam2_hf.data.config import Augmentation, SourceConfig
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.training.config import CheckpointConfig, LoggingConfig, OptimizerConfig, TrainConfig
from sam2_hf.training.trainer import Trainer, make_accelerator

from .timing import Result

EVERY = 2  # steps between readings
PHOTOS_PER_STEP, CLIPS_PER_STEP, FRAMES = 8, 2, 4

MANY = 10**9  # steps; never within a run


def photo_source(data: Path | None) -> SourceConfig:
    """Return photos of a folder, or synthetic ones."""
    config = partial(
        SourceConfig,
        name="photos",
        batch_size=PHOTOS_PER_STEP,
        augment=Augmentation(),
    )
    if data is None:
        return config("synthetic")
    return config("pairs", str(data / "bsds500" / "train"))


def clip_source(data: Path | None) -> SourceConfig:
    """Return clips of a folder, or synthetic ones."""
    config = partial(
        SourceConfig,
        name="clips",
        batch_size=CLIPS_PER_STEP,
        num_frames=FRAMES,
        augment=Augmentation(),
    )
    return config("synthetic") if data is None else config("davis", str(data / "davis16-half"))


def time_training(source: SourceConfig, readings: int, model: str = SMALL_MODEL) -> list[Result]:
    """Train for a few steps and read the trainer's log.

    Args:
        source: Training data.
        readings: Number of readings, of which the median is used.
        model: Model of the architecture.

    Returns:
        Clips per second, and the fraction of time spent waiting for data.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = training_config(source, model, readings, folder)
        with (Path(folder) / "log.txt").open("w") as log, redirect_stdout(log):
            Trainer(config, make_accelerator(config)).run()
        rows = steady_rows(Path(folder) / "train.csv")
    kind = source.name if source.num_frames == 1 else f"{source.name} of {source.num_frames} frames"
    made = "made up" if source.kind == "synthetic" else source.kind
    case = f"training, {kind}, {source.batch_size} a step ({made})"
    speeds = [row["clips_per_second"] for row in rows]
    shares = [100 * row["loader_share"] for row in rows]
    return [
        Result(case, statistics.median(speeds), spread=spread_of(speeds), unit="/s"),
        Result(f"{case}, waiting for the loader", statistics.median(shares), unit="%"),
    ]


def training_config(source: SourceConfig, model: str, readings: int, folder: str) -> TrainConfig:
    """Configure a short run without validation and checkpoints."""
    return TrainConfig(
        model=model,
        output=folder,
        data=(source,),
        steps=EVERY * (readings + 1),
        from_scratch=True,
        workers=1,
        optimizer=OptimizerConfig(learning_rate=1e-4),
        logging=LoggingConfig(every=EVERY, picture_every=0),
        checkpoints=CheckpointConfig(every=MANY),
    )


def steady_rows(path: Path) -> list[dict[str, float]]:
    """Read the trainer's log without its first row, the warm-up."""
    with path.open(newline="") as file:
        return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)][
            1:
        ]


def spread_of(values: Sequence[float]) -> float:
    """Compute the interquartile range over the median."""
    ordered = sorted(values)
    quartiles = ordered[len(ordered) * 3 // 4] - ordered[len(ordered) // 4]
    return quartiles / statistics.median(ordered)


TRAINING_CASES: dict[str, Callable[[Path | None, int], list[Result]]] = {
    "train-photos": lambda data, rounds: time_training(photo_source(data), rounds),
    "train-clips": lambda data, rounds: time_training(clip_source(data), rounds),
}
