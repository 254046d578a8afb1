"""Prompt simulation: a schedule of prompts, and a simulated user who corrects errors.

Suffixes: n = objects of all clips of a batch, t = frames, k = prompts on a frame, b = objects, p =
1, h, w = rows and columns.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sam2_hf.errors import TrainingError
from sam2_hf.geometry import BOX_CORNER_LABELS
from sam2_hf.masks import resize_masks
from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.tracking import NO_PROMPTS

from .click_sampling import Clicks, innermost_clicks, noisy_boxes, uniform_clicks

PromptKind = Literal["mask", "click", "box"]


@dataclass(frozen=True, slots=True)
class FirstPrompt:
    """Prompt on a frame that is segmented without memory.

    Attributes:
        frame: The frame.
        kind: Kind of prompt of every object.
        central: Whether a click goes to the innermost pixel instead of a random one.
    """

    frame: int
    kind: PromptKind
    central: bool = False


@dataclass(frozen=True, slots=True)
class Correction:
    """An additional click on every object.

    Attributes:
        onto_truth: Whether it goes onto the object, regardless of the error.
        central: Whether it goes to the innermost pixel instead of a random one.
    """

    onto_truth: bool = False
    central: bool = False


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """Prompts on the frames of a batch of clips.

    Attributes:
        num_frames: Frames of each clip.
        first_prompts: Prompts on frames that are segmented without memory, in order of
            segmentation; the first is on frame 0.
        corrected_frames: Frames with corrections, prompted or tracked.
        corrections: Clicks on each of those frames.
        corrected_are_prompted: Whether a tracked frame counts as prompted once it is corrected.
    """

    num_frames: int
    first_prompts: tuple[FirstPrompt, ...]
    corrected_frames: tuple[int, ...] = ()
    corrections: tuple[tuple[Correction, ...], ...] = ()
    corrected_are_prompted: bool = True

    @property
    def order(self) -> tuple[int, ...]:
        """Order of segmentation: frames with a first prompt, then the others in temporal order."""
        first = tuple(prompt.frame for prompt in self.first_prompts)
        return first + tuple(frame for frame in range(self.num_frames) if frame not in first)

    def first_prompt(self, frame: int) -> FirstPrompt | None:
        """Return the first prompt on a frame; None if it is tracked."""
        return next((prompt for prompt in self.first_prompts if prompt.frame == frame), None)

    def corrections_on(self, frame: int) -> tuple[Correction, ...]:
        """Return the corrections on a frame."""
        if frame not in self.corrected_frames:
            return ()
        return self.corrections[self.corrected_frames.index(frame)]

    def is_prompted(self, frame: int) -> bool:
        """Whether a frame's memory counts as prompted."""
        is_corrected = self.corrected_are_prompted and frame in self.corrected_frames
        return is_corrected or self.first_prompt(frame) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSchedule:
    """Schedule of a simulated user; the defaults are those of the released models.

    Attributes:
        first_mask: Probability that the first prompts of a clip are true masks, without
            corrections. Photos are never prompted with masks.
        first_box: Probability that a first prompt is a box, if it is not a mask.
        box_noise: Largest offset of a side of a box, as a fraction of the box.
        box_noise_limit: Largest offset of a side of a box, model pixels.
        corrections: Additional clicks on a corrected frame.
        clicks_from_truth: Probability that a correction goes onto the object, regardless of the
            error.
        central_clicks: Probability that a click goes to the innermost pixel instead of a random
            one.
        max_prompted_frames: Maximum number of frames with a first prompt.
        max_corrected_frames: Maximum number of frames with corrections, prompted ones included.
        random_counts: Whether both numbers are drawn from 1 to their maximum.
        corrected_frames_are_prompted: Whether a tracked frame counts as prompted once corrected.
        photo_prompts: Minimum number of prompts of a photo, to amortize its encoding: each object
            is prompted equally often, and clicks after the first go anywhere on it. 0 prompts each
            object once.

    Raises:
        TrainingError: Numbers contradict each other.

    Source: training/model/sam2.py:21-105 @ 2b90b9f and the released training config.
    """

    first_mask: float = 0.5
    first_box: float = 0.5
    box_noise: float = 0.1
    box_noise_limit: float = 20.0
    corrections: int = 7
    clicks_from_truth: float = 0.1
    central_clicks: float = 0.0
    max_prompted_frames: int = 2
    max_corrected_frames: int = 2
    random_counts: bool = True
    corrected_frames_are_prompted: bool = True
    photo_prompts: int = 0

    def __post_init__(self) -> None:
        for name in ("first_mask", "first_box", "clicks_from_truth", "central_clicks"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise TrainingError(
                    f"{name} is {getattr(self, name)}, which is not a probability. Give 0 to 1."
                )
        if not 1 <= self.max_prompted_frames <= self.max_corrected_frames:
            raise TrainingError(
                f"max_prompted_frames is {self.max_prompted_frames} and max_corrected_frames "
                f"{self.max_corrected_frames}. Prompt at least one frame, and let all prompted "
                "frames be corrected; corrections=0 disables corrections."
            )
        for name in ("corrections", "photo_prompts"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} is {getattr(self, name)}. Give 0 or more.")

    @property
    def prompts_per_frame(self) -> int:
        """Maximum number of prompts of an object on a frame."""
        return 1 + self.corrections

    def plan(self, num_frames: int, generator: torch.Generator | None = None) -> PromptPlan:
        """Draw the prompts on the frames of a clip.

        Args:
            num_frames: Frames of the clip; 1 for a photo.
            generator: Random generator; torch's global one if None.

        Source: training/model/sam2.py:162-272 @ 2b90b9f.
        Differs: a clip with fewer frames than drawn prompts is prompted on all frames, or on all
            but one with true masks, which have no loss. The original fails.
        """
        dice = _Dice(generator)
        is_mask = dice.happens(self.first_mask) and num_frames > 1
        most = num_frames - 1 if is_mask else num_frames
        num_prompted = self._draw_count(dice, 1, min(self.max_prompted_frames, most))
        most = min(self.max_corrected_frames, num_frames)
        num_corrected = 0 if is_mask else self._draw_count(dice, num_prompted, most)
        prompted = [0, *dice.choose(list(range(1, num_frames)), num_prompted - 1)]
        first_prompts = tuple(self._draw_first(dice, frame, is_mask=is_mask) for frame in prompted)
        others = [frame for frame in range(num_frames) if frame not in prompted]
        extra = dice.choose(others, num_corrected - num_prompted)
        corrected = () if is_mask or not self.corrections else (*prompted, *extra)
        return PromptPlan(
            num_frames,
            first_prompts,
            corrected,
            tuple(self._draw_corrections(dice) for _ in corrected),
            self.corrected_frames_are_prompted,
        )

    def _draw_count(self, dice: "_Dice", least: int, most: int) -> int:
        """Draw a number of frames, or use the maximum."""
        return dice.whole(least, most) if self.random_counts else most

    def _draw_first(self, dice: "_Dice", frame: int, *, is_mask: bool) -> FirstPrompt:
        """Draw the first prompt of a frame."""
        if is_mask:
            return FirstPrompt(frame, "mask")
        is_box, central = dice.happens(self.first_box), dice.happens(self.central_clicks)
        return FirstPrompt(frame, "box") if is_box else FirstPrompt(frame, "click", central)

    def _draw_corrections(self, dice: "_Dice") -> tuple[Correction, ...]:
        """Draw the corrections of a frame."""
        return tuple(
            Correction(dice.happens(self.clicks_from_truth), dice.happens(self.central_clicks))
            for _ in range(self.corrections)
        )


@dataclass(frozen=True, slots=True)
class _Dice:
    """Random choices from a generator, or from torch's global one."""

    generator: torch.Generator | None

    def happens(self, probability: float) -> bool:
        return bool(torch.rand((), generator=self.generator).item() < probability)

    def whole(self, least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=self.generator).item())

    def choose(self, items: list[int], count: int) -> list[int]:
        """Sample items without replacement."""
        order = torch.randperm(len(items), generator=self.generator).tolist()
        return [items[index] for index in order[: max(count, 0)]]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedUser:
    """Simulated user, who prompts every object of a batch by a plan.

    Attributes:
        schedule: Noise of boxes.
        plan: Prompts of each frame.
        truth_nthw: True masks at the model's input size, bool.
        numbers_ntk4: Random numbers of clicks and boxes, in [0, 1).
        repeated_n: Repeated objects, whose first clicks go anywhere.
    """

    schedule: PromptSchedule
    plan: PromptPlan
    truth_nthw: Tensor
    numbers_ntk4: Tensor
    repeated_n: Tensor

    def first_prompts(self, first: FirstPrompt | None) -> Prompts:
        """Prompt a frame with clicks or boxes, or not at all if it is tracked.

        Args:
            first: The frame's first prompt in the plan.
        """
        if first is None:
            return NO_PROMPTS
        truth_nhw = self.truth_nthw[:, first.frame]
        numbers_n4 = self.numbers_ntk4[:, first.frame, 0]
        if first.kind == "click":
            return _with_clicks(NO_PROMPTS, self._first_clicks(truth_nhw, numbers_n4, first))
        noise, limit = self.schedule.box_noise, self.schedule.box_noise_limit
        box_n4 = noisy_boxes(truth_nhw, numbers_n4, noise, limit)
        labels = torch.tensor(BOX_CORNER_LABELS, device=box_n4.device)
        return Prompts(box_n4.reshape(-1, 1, 2, 2), labels.expand(len(box_n4), 1, -1))

    def corrected(self, frame: int, step: int, prompts: Prompts, masks: ObjectMasks) -> Prompts:
        """Add a click to every object of a frame, with its mask as a mask prompt.

        Args:
            frame: The frame.
            step: Index of the correction on it, from 0.
            prompts: Prompts so far.
            masks: Masks of these prompts.

        Source: training/model/sam2.py:456-535 @ 2b90b9f.
        """
        correction = self.plan.corrections_on(frame)[step]
        truth_nhw = self.truth_nthw[:, frame]
        guess_nhw = None
        if not correction.onto_truth:
            size = (truth_nhw.shape[-2], truth_nhw.shape[-1])
            logits_b1hw = masks.logits_b1hw.detach()
            guess_nhw = resize_masks(logits_b1hw, size)[:, 0] > 0
        numbers_n4 = self.numbers_ntk4[:, frame, 1 + step]
        clicks = _click(truth_nhw, guess_nhw, numbers_n4, central=correction.central)
        return _with_clicks(prompts, clicks, masks.logits_b1hw)

    def _first_clicks(self, truth_nhw: Tensor, numbers_n4: Tensor, first: FirstPrompt) -> Clicks:
        """Click on every object; repetitions are never central."""
        clicks = uniform_clicks(truth_nhw, None, numbers_n4[:, 0])
        if not first.central:
            return clicks
        central = innermost_clicks(truth_nhw[~self.repeated_n], None)
        clicks.xy_n2[~self.repeated_n] = central.xy_n2
        clicks.labels_n[~self.repeated_n] = central.labels_n
        return clicks


def _click(
    truth_nhw: Tensor, guess_nhw: Tensor | None, numbers_n4: Tensor, *, central: bool
) -> Clicks:
    """Click once on every object."""
    if central:
        return innermost_clicks(truth_nhw, guess_nhw)
    return uniform_clicks(truth_nhw, guess_nhw, numbers_n4[:, 0])


def _with_clicks(prompts: Prompts, clicks: Clicks, logits_bphw: Tensor | None = None) -> Prompts:
    """Add a click to each object's points, and the current mask."""
    points_bpt2, labels_bpt = clicks.xy_n2[:, None, None], clicks.labels_n[:, None, None]
    if prompts.points_bpt2 is not None and prompts.labels_bpt is not None:
        points_bpt2 = torch.cat((prompts.points_bpt2, points_bpt2), dim=2)
        labels_bpt = torch.cat((prompts.labels_bpt, labels_bpt), dim=2)
    return Prompts(points_bpt2, labels_bpt, masks_bphw=logits_bphw)
