"""Prompts of a session: the decoder answers them, and the answers are remembered.

Suffixes: b = objects, d = decoder channels, h, w = rows and columns, n = points.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.masks import keep_apart
from sam2_hf.model.frame_memory import FrameMemory
from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.model.prompt_inputs import Prompts

from .frame_result import FrameOutput
from .memory_selection import Moment
from .object_prompts import FramePrompts
from .tracked_object import PromptedOutput, TrackedObject
from .tracker import Tracker
from .tracking import track_step

MAX_PREVIOUS_LOGIT = 32.0  # earlier mask logits are shown to the decoder within these bounds


@torch.no_grad()
def answer_prompts(tracker: Tracker, one: TrackedObject, frame: int) -> FrameOutput | None:
    """Answer the open rounds of a frame; return the newest answer there is, or None.

    Source: sam2/sam2_video_predictor.py:225-292 and 326-380 @ 2b90b9f.
    """
    while rounds := one.rounds.get(frame):
        asked = one.asked[frame]
        masks = _answer(tracker, one, frame, rounds[0])
        keeps_full = tracker.options.mask_prompts_at_full_resolution
        one.pending[frame] = PromptedOutput(
            tracker.outputs(masks)[0],
            masks.pointer_bd,
            masks.full_logits_b1hw if keeps_full else None,
            asked.direction is None,
        )
        one.rounds[frame] = rounds[1:]  # one by one: a frame that cannot be read loses none
    one.rounds.pop(frame, None)
    newest = one.last_output(frame)
    return None if newest is None else newest.to(tracker.model.device)


@torch.no_grad()
def commit(tracker: Tracker) -> None:
    """Answer all open rounds, then remember all answers.

    Prompts for a frame that a live stream has yet to bring wait for it.

    Source: sam2/sam2_video_predictor.py:469-540 @ 2b90b9f.
    Differs: answers on one frame are remembered in one call of the memory encoder.
    """
    for one in tracker.objects.values():
        for frame in list(one.rounds):
            if not tracker.frames.may_come(frame):
                answer_prompts(tracker, one, frame)
    frames = sorted({frame for one in tracker.objects.values() for frame in one.pending})
    for frame in frames:
        _remember_prompted(tracker, frame)


def _answer(tracker: Tracker, one: TrackedObject, frame: int, prompts: FramePrompts) -> ObjectMasks:
    """Run the decoder on the prompts of one round."""
    features, model = tracker.image_features(frame), tracker.model
    if prompts.mask_hw is not None:
        return model.adopt_masks(features, prompts.mask_hw[None, None].to(model.device))
    points_n2, labels_n = prompts.model_points(tracker.size, model.prompt_encoder.image_size)
    asked, earlier = one.asked[frame], None
    if tracker.options.prev_sam_mask_logits:
        earlier = one.last_output(frame) if asked.has_mask else one.last_answer(frame)
    logits_11hw = None
    if earlier is not None:
        logits_11hw = earlier.logits_1hw[None].to(model.device)
        logits_11hw = logits_11hw.clamp(-MAX_PREVIOUS_LOGIT, MAX_PREVIOUS_LOGIT)
    prompts_b1 = Prompts(
        points_n2[None, None].to(model.device),
        labels_n[None, None].to(model.device),
        masks_bphw=logits_11hw,
    )
    now = Moment(frame, asked.direction or "forward", tracker.frames.num_frames)
    # without a prompted frame, as after `clear`, there is nothing to look back on
    memories = [one.bank] if asked.direction and one.bank.prompted else None
    return track_step(
        model,
        features,
        memories,
        prompts_b1,
        now,
        tracker.rules,
        dynamic_multimask_via_stability=tracker.options.dynamic_multimask_via_stability,
    )


def _remember_prompted(tracker: Tracker, frame: int) -> None:
    """Remember the answers to the prompts of a frame."""
    asked = [one for one in tracker.objects.values() if frame in one.pending]
    answers = [one.pending[frame] for one in asked]
    logits_b1hw = torch.cat([_seen_by_memory(tracker, answer) for answer in answers])
    if tracker.options.non_overlap_masks_for_mem_enc:
        logits_b1hw = keep_apart(logits_b1hw)
    score_b1 = torch.stack([answer.answer.score_1 for answer in answers])
    spatial = tracker.model.encode_memory(
        tracker.image_features(frame),
        logits_b1hw,
        score_b1,
        binarize=tracker.options.binarize_mask_from_pts_for_mem_enc,
    )
    pointer_bd = torch.cat([answer.pointer_1d for answer in answers])
    memories = tracker.memories(frame, spatial, pointer_bd, score_b1)
    for one, memory in zip(asked, memories, strict=True):
        _store_prompted(tracker, one, memory)


def _store_prompted(tracker: Tracker, one: TrackedObject, memory: FrameMemory) -> None:
    """Store the memory of a prompted frame; a correction may count as merely tracked."""
    answer = one.pending.pop(memory.frame)
    if answer.initial or tracker.options.add_all_frames_to_correct_as_cond:
        one.outputs[memory.frame] = answer.answer.to(one.bank.device)
        one.bank.remember_prompted(memory)
    elif memory.frame not in one.outputs:
        one.bank.remember(memory, answer.answer)
    if tracker.options.clear_non_cond_mem_around_input:
        tracker.forget_around(one, memory.frame)


def _seen_by_memory(tracker: Tracker, answer: PromptedOutput) -> Tensor:
    """Return the mask logits that the memory encoder sees, `(1, 1, S, S)`."""
    if tracker.options.mask_prompts_at_full_resolution and answer.full_logits_11hw is not None:
        return answer.full_logits_11hw
    side = tracker.model.prompt_encoder.image_size
    return functional.interpolate(answer.answer.logits_1hw[None], (side, side), mode="bilinear")
