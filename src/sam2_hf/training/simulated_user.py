"""A simulated user: looks at the masks so far and at the true ones, and prompts.

Suffixes: n = objects of all clips of a batch, t = frames, k = prompts on a frame, b = objects, p =
1, h, w = rows and columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam2_hf.geometry import BOX_CORNER_LABELS
from sam2_hf.masks import resize_masks
from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.model.prompt_inputs import Prompts
from sam2_hf.video.tracking import NO_PROMPTS

from .click_sampling import Clicks, innermost_clicks, noisy_boxes, uniform_clicks
from .prompt_schedule import FirstPrompt, PromptPlan, PromptSchedule


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedUser:
    """Prompts every object of a batch as a plan says.

    Attributes:
        schedule: How sloppy boxes are.
        plan: What happens on which frame.
        truth_nthw: True masks at the model's input size, bool.
        numbers_ntk4: All that is random about clicks and boxes, 0 to below 1.
        repeated_n: Objects that stand here again; their first clicks go anywhere.
    """

    schedule: PromptSchedule
    plan: PromptPlan
    truth_nthw: Tensor
    numbers_ntk4: Tensor
    repeated_n: Tensor

    def first_prompts(self, first: FirstPrompt | None) -> Prompts:
        """Prompt a frame with clicks or boxes; not at all where it is tracked.

        Args:
            first: What the plan says about the frame.
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
        """Click once more on every object of a frame, and hand its mask back to the model.

        Args:
            frame: Which frame.
            step: Which correction on it, from 0.
            prompts: Prompts so far.
            masks: The answer to them.

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
        """Click on every object, centrally at most the first time."""
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
    """Add a click to each object's points, and the mask so far."""
    points_bpt2, labels_bpt = clicks.xy_n2[:, None, None], clicks.labels_n[:, None, None]
    if prompts.points_bpt2 is not None and prompts.labels_bpt is not None:
        points_bpt2 = torch.cat((prompts.points_bpt2, points_bpt2), dim=2)
        labels_bpt = torch.cat((prompts.labels_bpt, labels_bpt), dim=2)
    return Prompts(points_bpt2, labels_bpt, masks_bphw=logits_bphw)
