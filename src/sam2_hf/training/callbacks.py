"""Callbacks of a run: validation, pictures, checkpoints, the best and the last model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sam2_hf.data.dataset import ClipDataset
from sam2_hf.errors import OutputError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .checkpointing import (
    Checkpoint,
    RunState,
    prune_checkpoints,
    push_model,
    save_checkpoint,
    save_model,
)
from .config import TrainConfig
from .config_io import as_yaml
from .dataset_registry import open_source
from .learner import Learner
from .run_logging import RunFolder, log
from .training_card import training_card
from .validation import Validation, mean_score, prediction_sheet, skip_note, training_examples

if TYPE_CHECKING:
    from accelerate import Accelerator


class TrainingCallbacks:
    """Evaluates and saves the model during a run.

    Attributes:
        hooks: Called with the model and the number of steps after each validation, or when it would
            be due, in the main process only; but every process must register them.

    Args:
        config: The run.
        learner: The model and its optimizer.
        state: The run's counters, advanced by the trainer.
        folder: The run's files.

    Raises:
        DataError: A validation source has nothing usable.
    """

    def __init__(
        self, config: TrainConfig, learner: Learner, state: RunState, folder: RunFolder
    ) -> None:
        self.config, self.learner, self.state, self.folder = config, learner, state, folder
        self.accelerator: Accelerator = learner.accelerator
        sources = [open_source(source) for source in config.validation.sources]
        self.validation = Validation(sources, config.validation, config.on_bad_data)
        self._examples: list[ClipDataset] = []
        if not sources and config.logging.picture_every and self.accelerator.is_main_process:
            self._examples = [
                open_source(replace(source, augment=None, reverse=0.0))
                for source in config.data
                if source.weight > 0
            ]
        self.hooks: list[Callable[[Sam2VideoModel, int], None]] = []

    def evaluate(self, *, is_scored: bool, is_drawn: bool) -> None:
        """Validate, save the model if it is the best so far, and draw predictions.

        Without validation sources, pictures show training data.

        Args:
            is_scored: Whether to validate.
            is_drawn: Whether to draw.
        """
        is_validated = is_scored and bool(self.validation.sources)
        is_hooked = is_scored and bool(self.hooks)
        if not (is_validated or is_hooked or is_drawn):
            return
        model = self.learner.snapshot()
        with self.accelerator.autocast():
            if is_validated:
                self._score(model)
            if self.accelerator.is_main_process:
                for hook in self.hooks if is_hooked else ():
                    hook(model, self.state.step)
                if is_drawn:
                    self._draw(model)
        self.accelerator.wait_for_everyone()

    def save(self, totals: Tensor, *, is_last: bool) -> None:
        """Write a checkpoint.

        Args:
            totals: Sums since the last line of the log, the same in every process.
            is_last: Whether this is the last checkpoint.

        Raises:
            OutputError: The last checkpoint cannot be written.
        """
        main = self.accelerator.is_main_process
        tensors = self.learner.tensors() if main or self.learner.is_sharded else {}
        if main:
            self.state.totals = totals.tolist()
            self.state.threads = torch.get_num_threads()
            self.state.scaler = self.learner.scaler_state()
            checkpoint = Checkpoint(self.state, as_yaml(self.config), tensors)
            try:
                save_checkpoint(self.folder.checkpoints, checkpoint)
                prune_checkpoints(self.folder.checkpoints, self.config.checkpoints.keep)
            except OutputError as error:
                if is_last:
                    raise
                log(f"{error} Training continues; the next attempt is at the next checkpoint.")
        self.accelerator.wait_for_everyone()

    def finish(self) -> Path:
        """Save the last model, and push the model to use.

        Returns:
            The folder of the model to use: the best one, or the last without validation.

        Raises:
            OutputError: It cannot be written.
            TrainingError: It cannot be pushed.
        """
        model = self.learner.snapshot()
        chosen = self.folder.last if self.state.best_score is None else self.folder.best
        if self.accelerator.is_main_process:
            self._write(model, self.folder.last, self.state.best_score, self.state.step)
            if self.config.push is not None:
                log(f"pushed to {push_model(chosen, self.config.push)}")
        self.accelerator.wait_for_everyone()
        return chosen

    def _score(self, model: Sam2VideoModel) -> None:
        """Validate together with the other processes."""
        accelerator = self.accelerator
        totals = self.validation.run(model, accelerator.process_index, accelerator.num_processes)
        if accelerator.num_processes > 1:
            sums = [
                [of_source.total, float(of_source.count), float(of_source.skipped)]
                for of_source in totals
            ]
            summed = accelerator.reduce(torch.tensor(sums, device=accelerator.device), "sum")
            totals = [
                replace(of_source, total=total, count=round(count), skipped=round(skipped))
                for of_source, (total, count, skipped) in zip(totals, summed.tolist(), strict=True)
            ]
        if accelerator.is_main_process:
            for note in filter(None, map(skip_note, totals)):
                log(note)
        score = mean_score(totals)
        if not accelerator.is_main_process:
            return
        parts = {of_source.label: of_source.total / of_source.count for of_source in totals}
        self.folder.log_validation({"step": self.state.step, "score": score, **parts})
        best = self.state.best_score
        note = "" if best is not None and score <= best else "  best so far"
        listed = "  ".join(f"{label} {value:.4f}" for label, value in parts.items())
        log(f"step {self.state.step}  validation {score:.4f}  ({listed}){note}")
        if note:
            self._keep_best(model, score)

    def _draw(self, model: Sam2VideoModel) -> None:
        """Draw predictions on validation data, or else on training data."""
        count = self.config.logging.pictures
        if self.validation.sources:
            examples = self.validation.examples(model, count)
        else:
            examples = training_examples(self._examples, model, count)
        if (sheet := prediction_sheet(examples)) is not None:
            self.folder.log_picture(self.state.step, sheet)

    def _keep_best(self, model: Sam2VideoModel, score: float) -> None:
        try:
            self._write(model, self.folder.best, score, self.state.step)
        except OutputError as error:
            log(f"{error} Training continues; the previous best model stays.")
            return
        self.state.best_score, self.state.best_step = score, self.state.step

    def _write(self, model: Sam2VideoModel, folder: Path, score: float | None, step: int) -> None:
        card = training_card(self.config, score, step)
        save_model(model, folder, self.config, card, self.learner.adapters())
