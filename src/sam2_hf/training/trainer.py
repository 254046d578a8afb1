"""Trainer: a run from its first step, or from its newest checkpoint, to its end.

Sets up processes, precision and data, and explains errors of memory and of worker processes.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml

from sam2_hf.data.clip import ClipBatch
from sam2_hf.data.config import DataMixture
from sam2_hf.errors import MissingPackageError, Sam2Error, TrainingError
from sam2_hf.interruption import Interruption

from .callbacks import TrainingCallbacks
from .checkpointing import RunState, read_checkpoint
from .config import TrainConfig
from .config_io import changed_data, changed_settings, refuse_changes
from .data_loader import ClipLoader, ClipStream, plan_requests
from .learner import Learner, Totals, no_values
from .model_setup import make_model
from .precision import chosen_precision
from .run_logging import TRACKERS, RunFolder, log, require_trackers, training_line

if TYPE_CHECKING:
    from accelerate import Accelerator


def make_accelerator(config: TrainConfig) -> "Accelerator":
    """Set up processes, device and precision, as configured by `accelerate launch`.

    Raises:
        MissingPackageError: accelerate, or the package of a tracker, is not installed.
        TrainingError: The precision is unavailable, or a tracker is unknown.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
        from accelerate.utils import parse_flag_from_env
    except ImportError as error:
        raise MissingPackageError(
            "accelerate",
            purpose="Training",
            install="Install it with: pip install 'sam2-hf[train]'.",
        ) from error
    trackers = config.logging.trackers
    require_trackers(trackers)
    # Without this flag it would not see the other processes of a run on the CPU, and `Accelerator`
    # reuses the existing state.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if config.precision == "fp16" and state.device.type == "cpu":
        raise TrainingError("precision fp16 needs a GPU. Use auto, bf16 or no on the CPU.")
    precision, note = chosen_precision(config.precision, state.device)
    if note and state.is_main_process:
        log(note)
    # A step's prompts do not reach every parameter: no memory on photos, no mask prompts, ...
    spread = DistributedDataParallelKwargs(find_unused_parameters=True)
    try:
        return Accelerator(
            mixed_precision=precision,
            kwargs_handlers=[spread],
            log_with=list(trackers) or None,
            project_dir=Path(config.output) / TRACKERS,
        )
    except ValueError as error:
        raise TrainingError(f"precision {precision} cannot be used: {error}") from error


def open_stream(config: TrainConfig, image_size: int) -> ClipStream:
    """Open the data of a run.

    Args:
        config: The run.
        image_size: Side of the model's input.

    Raises:
        DataError: A source has nothing usable.
    """
    mix = DataMixture(
        sources=config.data,
        image_size=image_size,
        seed=config.seed,
        num_steps=config.steps or 0,
        on_bad_data=config.on_bad_data,
    )
    stream = ClipStream(mix)
    if config.steps is None and any(source.starts_at for source in config.data):
        return ClipStream(replace(mix, num_steps=count_steps(config, stream)))
    return stream


def count_steps(config: TrainConfig, stream: ClipStream) -> int:
    """Return the number of steps of a run; an epoch covers all items."""
    if config.epochs is None:
        return config.steps or 0
    drawn = [place for place, source in enumerate(config.data) if source.weight > 0]
    return math.ceil(config.epochs * sum(stream.steps_per_epoch(place) for place in drawn))


def require_equal_parts(config: TrainConfig, processes: int) -> None:
    """Refuse batch sizes that do not divide among processes and micro-batches.

    Raises:
        TrainingError: One does not.
    """
    parts = processes * config.gradient_accumulation
    for source in config.data:
        if source.batch_size % parts:
            raise TrainingError(
                f"batch_size {source.batch_size} of {source.label} does not split into {parts} "
                f"equal parts: {processes} process(es) x gradient_accumulation "
                f"{config.gradient_accumulation}. Choose a multiple of {parts}."
            )


def threads_note(before: int) -> str:
    """Warn that another number of threads sums in another order; empty if it is the same."""
    now = torch.get_num_threads()
    if before in (0, now):
        return ""
    return (
        f"the run was started with {before} thread(s) and continues with {now}: the results "
        "are as accurate, but not bit-identical. OMP_NUM_THREADS sets it."
    )


SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "failed to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means out of memory; the CPU raises a plain RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in SIGNS)


def is_dead_worker(error: BaseException) -> bool:
    """Whether an error means that a data worker died."""
    text = str(error)
    return text.startswith("DataLoader worker") and ("exited" in text or "is killed" in text)


def advice(config: TrainConfig, batch: ClipBatch | None, *, where: str) -> str:
    """Explain an out-of-memory error and what to lower.

    Args:
        config: The run.
        batch: The current batch.
        where: The device.
    """
    held = ""
    if batch is not None:
        clips, frames, _, side, _ = batch.frames_bthw3.shape
        held = (
            f" while training on {clips} clip(s) of {frames} frame(s) with {batch.num_objects} "
            f"object(s) at {side} pixels, of {batch.source}"
        )
    ways = ["batch_size, max_objects or num_frames of that source", "image_size"]
    if not config.gradient_checkpointing:
        ways.append("or set gradient_checkpointing: true, which costs time instead")
    if config.precision == "no":
        ways.append("or precision: bf16")
    return (
        f"{where} ran out of memory{held}. Lower {', '.join(ways)}. A higher gradient_accumulation "
        "keeps batch_size and splits it into smaller parts."
    )


SHOWN_SKIPS = 20  # messages about damaged data; further ones are only counted


class Stopped(KeyboardInterrupt):
    """A run was stopped on request, and is saved."""


class Trainer:
    """A training run.

    Everything random in a step follows from the seed and the step's number, so a killed and resumed
    run is bit-equal to an uninterrupted one, and results do not depend on the number of processes.

    Args:
        config: The run.
        accelerator: Distributes it over processes; see `make_accelerator`.
        resume: Whether to resume the run in `config.output`, if there is one.
        allow_changes: Whether to resume although settings differ.

    Raises:
        TrainingError: The run cannot start or be resumed.
        DataError: A source has nothing usable.
    """

    def __init__(
        self,
        config: TrainConfig,
        accelerator: "Accelerator",
        *,
        resume: bool = False,
        allow_changes: bool = False,
    ) -> None:
        require_equal_parts(config, accelerator.num_processes)
        self.config, self.accelerator = config, accelerator
        self.folder = RunFolder(config)
        found = self.folder.newest(resume=resume)
        model = make_model(config)
        stream = open_stream(config, model.image_size)
        self.steps = count_steps(config, stream)
        self.learner = Learner(config, model, accelerator, self.steps)
        self.state = RunState(data=stream.fingerprints())
        self.totals = no_values(accelerator.device)
        if found is not None:
            self._load(found, allow_changes=allow_changes)
        self.callbacks = TrainingCallbacks(config, self.learner, self.state, self.folder)
        requests = plan_requests(
            range(self.state.step, self.steps),
            rank=accelerator.process_index,
            processes=accelerator.num_processes,
            accumulation=config.gradient_accumulation,
        )
        self.loader = ClipLoader(stream, requests, num_workers=config.workers)
        self._seconds, self._clips, self._shown = 0.0, 0, 0
        self._parts: Sequence[ClipBatch] = ()  # the current batches

    def run(self) -> Path:
        """Train to the end.

        Returns:
            The folder of the model to use: the best one, or the last without validation.

        Raises:
            TrainingError: Memory ran out, a worker died, or the loss is not finite.
            Stopped: The user or the system requested a stop; the run is saved.
            KeyboardInterrupt: A second request; steps after the last checkpoint are lost.
            OutputError: The last checkpoint or model cannot be written.
        """
        try:
            if self.accelerator.is_main_process:
                labels = self.callbacks.validation.labels
                self.folder.open(self.state.step, labels, self.accelerator)
            with Interruption() as interruption, self._handling_failures():
                self._do_steps(interruption)
            with self._handling_failures():
                return self.callbacks.finish()
        finally:
            self.folder.close()

    def _do_steps(self, interruption: Interruption) -> None:
        """Do all remaining steps, with validation, logging and checkpoints when due."""
        if self.state.step == 0:
            # the initial score, and an early failure for unusable validation data
            self.callbacks.evaluate(is_scored=True, is_drawn=self.config.logging.picture_every > 0)
        batches = iter(self.loader)
        for step in range(self.state.step, self.steps):
            if not self._learn(batches, step, interruption):
                self._save(is_last=True)
                raise Stopped(
                    f"stopped after step {step} of {self.steps}; the run is saved in "
                    f"{self.config.output}."
                )
            self._report()

    def _learn(self, batches: Iterator[ClipBatch], step: int, interruption: Interruption) -> bool:
        """Do one step, unless the run is to stop before it; return whether it was done."""
        begun = time.perf_counter()
        parts = [next(batches) for _ in range(self.config.gradient_accumulation)]
        mean_objects, is_stopping = self._agree(parts, is_stopping=interruption.is_requested)
        if is_stopping:
            return False
        self._parts = parts
        self.totals += self.learner.step(parts, step, mean_objects)
        elapsed = time.perf_counter() - begun
        self.state.step = step + 1
        self.state.seconds += elapsed
        self.learner.is_whole, self._parts = True, ()
        self._seconds += elapsed
        self._clips += sum(len(part.names) for part in parts) * self.accelerator.num_processes
        self._report_skips(parts)
        return True

    def _agree(self, parts: list[ClipBatch], *, is_stopping: bool) -> tuple[float, bool]:
        """Return the mean objects of a step per process, and whether any process is to stop."""
        objects = float(sum(part.num_objects for part in parts))
        if self.accelerator.num_processes == 1:
            return objects, is_stopping
        local = torch.tensor([objects, float(is_stopping)], device=self.accelerator.device)
        mean, asked = self.accelerator.reduce(local, "mean").tolist()
        return mean, asked > 0

    def _report(self) -> None:
        """Log, validate and save after a step, when due."""
        config, is_end = self.config, self.state.step == self.steps
        if is_end or self._is_due(config.logging.every):
            self._log()
        is_drawn = config.logging.picture_every > 0
        self.callbacks.evaluate(
            is_scored=is_end or self._is_due(config.validation.every),
            is_drawn=is_drawn and (is_end or self._is_due(config.logging.picture_every)),
        )
        if is_end or self._is_due(config.checkpoints.every):
            self._save(is_last=is_end)

    def _is_due(self, every: int) -> bool:
        return self.state.step % every == 0

    def _log(self) -> None:
        """Log the steps since the last line."""
        totals = self._read_totals()
        self.state.skipped += totals.skipped
        seconds = max(self._seconds, 1e-9)
        row = {
            "step": self.state.step,
            **totals.means,
            "learning_rate": self.learner.learning_rate(self.state.step - 1),
            "seconds": self.state.seconds,
            "clips_per_second": self._clips / seconds,
            "loader_share": self.loader.wait_s / seconds,
            "click_share": self.learner.click_seconds() / seconds,
            "skipped": self.state.skipped,
        }
        if self.accelerator.is_main_process:
            left = (self.steps - self.state.step) * self.state.seconds / self.state.step
            log(training_line(row, self.steps, left))
            self.folder.log_training(row)
        self.totals.zero_()
        self._seconds, self._clips = 0.0, 0
        self.loader.reset_times()

    def _read_totals(self) -> Totals:
        """Average over processes, and stop if the loss is not finite."""
        processes = self.accelerator.num_processes
        if processes > 1:
            self.totals = self.accelerator.reduce(self.totals, "mean")
        totals = Totals.of(self.totals.tolist(), processes)
        # fp16 overflows occasionally; its scaler skips such steps
        allowed = totals.steps * processes - 1 if self.config.precision == "fp16" else 0
        if totals.spoilt > allowed:
            raise TrainingError(
                f"the loss or its gradient was not a finite number on {totals.spoilt} of the last "
                f"{totals.steps} step(s) up to step {self.state.step}. Earlier checkpoints are "
                "good. Lower optimizer.learning_rate or optimizer.clip_norm, or lengthen "
                "optimizer.warmup_steps; --resume --allow-changes continues from the last one."
            )
        return totals

    def _save(self, *, is_last: bool) -> None:
        self._read_totals()
        if not self.learner.is_finite():
            raise TrainingError(
                f"weights are not finite after step {self.state.step}, so they are not "
                "saved. Earlier checkpoints are good. Lower optimizer.learning_rate; --resume "
                "--allow-changes continues from the last one."
            )
        self.callbacks.save(self.totals, is_last=is_last)

    def _load(self, path: Path, *, allow_changes: bool) -> None:
        """Resume from a checkpoint."""
        checkpoint = read_checkpoint(path)
        before = yaml.safe_load(checkpoint.config)
        changes = changed_settings(before, self.config)
        changes += changed_data(checkpoint.state.data, self.state.data or ())
        if not allow_changes:
            refuse_changes(changes, self.config.output)
        notes = [f"changed since the run was started: {line}" for line in changes]
        self.state = replace(checkpoint.state, data=self.state.data)
        self.learner.load(checkpoint.tensors)
        self.learner.load_scaler(self.state.scaler)
        self.totals += torch.tensor(self.state.totals, device=self.totals.device)
        notes.append(threads_note(self.state.threads))
        if self.accelerator.is_main_process:
            for note in filter(None, notes):
                log(note)
            log(f"continuing after step {self.state.step} of {self.steps}, from {path}")

    def _report_skips(self, parts: list[ClipBatch]) -> None:
        """Log skipped items, up to a limit."""
        for message in (message for part in parts for message in part.skipped):
            self._shown += 1
            if self._shown <= SHOWN_SKIPS:
                more = " (more are only counted)" if self._shown == SHOWN_SKIPS else ""
                log(f"skipped {message}{more}")

    @contextmanager
    def _handling_failures(self) -> Iterator[None]:
        """Save the run if memory runs out or a worker dies, and give advice."""
        try:
            yield
        except Sam2Error:
            raise
        except (RuntimeError, MemoryError) as error:
            if is_dead_worker(error):
                text, flags = (
                    (
                        "a data worker died, perhaps because memory ran out: "
                        f"{str(error).strip().rstrip('.')}. Lower workers, which is "
                        f"{self.config.workers}; workers: 0 loads data in the main process."
                    ),
                    "--resume",
                )
            elif is_out_of_memory(error):
                batch = self._parts[0] if self._parts else None
                text = advice(self.config, batch, where=str(self.accelerator.device))
                flags = "--resume --allow-changes"
            else:
                raise
            raise TrainingError(f"{text} {self._emergency_save(flags)}") from error

    def _emergency_save(self, flags: str) -> str:
        """Save if possible, and return how to continue."""
        if self.state.step == 0:
            return "No step is done yet; --resume starts over."
        if self.accelerator.num_processes > 1 or not self.learner.is_whole:
            return f"{flags} continues from the last checkpoint."
        self.learner.optimizer.zero_grad(set_to_none=True)
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        self._save(is_last=True)
        return f"The run is saved; {flags} continues it."
