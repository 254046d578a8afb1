"""Prompts of a session: the decoder answers them, and the answers are remembered.

Suffixes: b = objects, d = decoder channels, h, w = rows and columns, n = points.
"""

from collections.abc import Container

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.masks import suppress_overlaps
from sam2_hf.model.outputs import FrameMemory, ObjectMasks
from sam2_hf.model.prompt_encoder import Prompts

from .frame_result import FrameOutput
from .memory_policy import TrackingStep
from .prompts import FramePrompts
from .tracked_object import PromptedOutput, Round, TrackedObject
from .tracker import Tracker
from .tracking import decode_views, gather_memories, view

Corrections = set[tuple[int, int]]  # frame and object id
MAX_PREVIOUS_LOGIT = 32.0  # earlier mask logits are shown to the decoder within these bounds


@torch.no_grad()
def ask(tracker: Tracker, one: TrackedObject, frame: int, prompts: FramePrompts) -> None:
    """Note the prompts of a frame after one more call; nothing is decoded yet.

    Source: sam2/sam2_video_predictor.py:225-258 @ 2b90b9f.
    Differs: without a conditioning frame, as after `clear`, there is nothing to look back on, and
        the frame becomes one. The original fails there.
    """
    asked = Round(prompts)
    if one.bank.prompted:
        asked.direction = one.directions.get(frame)
    if prompts.mask_hw is None:
        if asked.direction is not None:
            now = TrackingStep(frame, asked.direction, tracker.frames.num_frames)
            asked.recollection = gather_memories(one.bank, now, tracker.policy)
        if tracker.options.prev_sam_mask_logits and frame not in one.rounds:
            asked.earlier = one.remembered_output(frame)
    one.add(frame, asked)


def ask_again(tracker: Tracker, one: TrackedObject, frame: int) -> None:
    """Have the prompts of a frame answered afresh, as if they had been given at once."""
    one.rounds.pop(frame, None)
    one.outputs.pop(frame, None)
    one.bank.prompted.pop(frame, None)
    ask(tracker, one, frame, one.prompts[frame])


@torch.no_grad()
def answer_prompts(tracker: Tracker, one: TrackedObject, frame: int) -> FrameOutput | None:
    """Answer the open rounds of a frame; return the newest answer there is, or None.

    Source: sam2/sam2_video_predictor.py:225-292 and 326-380 @ 2b90b9f.
    """
    earlier: FrameOutput | None = None
    for asked in one.rounds.get(frame, ()):
        if asked.answer is None:  # one by one: a frame that cannot be read loses none
            start = asked.earlier or earlier
            asked.settle(_answer(tracker, frame, asked, start), start)
        if asked.answer is not None and tracker.options.prev_sam_mask_logits:
            earlier = asked.answer.answer
    if frame in one.rounds:
        one.rounds[frame] = one.rounds[frame][-1:]
    newest = one.last_output(frame)
    return None if newest is None else newest.to(tracker.model.device)


def answer_all(tracker: Tracker, to_come: Container[int] = ()) -> None:
    """Answer all open rounds, but for frames that a live stream has yet to bring.

    Args:
        tracker: The engine of the session.
        to_come: Further frames that are left out.

    Raises:
        FrameError: One of the frames cannot be had.
    """
    tracker.follow_weights()
    for one in tracker.objects.values():
        for frame in list(one.rounds):
            if frame not in to_come and not tracker.frames.may_come(frame):
                answer_prompts(tracker, one, frame)


@torch.no_grad()
def commit(tracker: Tracker, to_come: Container[int] = ()) -> Corrections:
    """Answer all open rounds, then remember all answers.

    Prompts for a frame that a live stream has yet to bring wait for it.

    Args:
        tracker: The engine of the session.
        to_come: Frames whose prompts wait for their turn too.

    Returns:
        Which answers count as tracked: corrections that do not make a conditioning frame.

    Raises:
        FrameError: A frame with a prompt cannot be had.

    Source: sam2/sam2_video_predictor.py:469-540 @ 2b90b9f.
    Differs: answers on one frame are remembered in one call of the memory encoder.
    """
    answer_all(tracker, to_come)
    asked = {frame for one in tracker.objects.values() for frame in one.rounds}
    corrections: Corrections = set()
    for frame in sorted(asked):
        if frame not in to_come and not tracker.frames.may_come(frame):
            corrections |= _remember_prompted(tracker, frame)
    return corrections


def _answer(
    tracker: Tracker, frame: int, asked: Round, earlier: FrameOutput | None
) -> PromptedOutput:
    """Run the decoder on the prompts of one round."""
    masks = _decode(tracker, frame, asked, earlier)
    keeps_full = tracker.options.mask_prompts_at_full_resolution
    return PromptedOutput(
        tracker.outputs(masks)[0],
        masks.pointer_bd,
        masks.full_logits_b1hw if keeps_full else None,
    )


def _decode(tracker: Tracker, frame: int, asked: Round, earlier: FrameOutput | None) -> ObjectMasks:
    features, model, prompts = tracker.image_features(frame), tracker.model, asked.prompts
    if prompts.mask_hw is not None:
        return model.use_mask_as_output(features, prompts.mask_hw[None, None].to(model.device))
    points_n2, labels_n = prompts.model_points(tracker.size, model.image_size)
    logits_11hw = None
    if earlier is not None:
        logits_11hw = earlier.logits_1hw[None].to(model.device)
        logits_11hw = logits_11hw.clamp(-MAX_PREVIOUS_LOGIT, MAX_PREVIOUS_LOGIT)
    prompts_b1 = Prompts(
        points_n2[None, None].to(model.device),
        labels_n[None, None].to(model.device),
        masks_bphw=logits_11hw,
    )
    recollections = None if asked.recollection is None else [asked.recollection]
    return decode_views(
        model,
        view(model, features, recollections),
        prompts_b1,
        dynamic_multimask_via_stability=tracker.options.dynamic_multimask_via_stability,
    )


def _remember_prompted(tracker: Tracker, frame: int) -> Corrections:
    """Remember the answers to the prompts of a frame; return which count as tracked."""
    answered = {
        one.object_id: one.rounds[frame][-1]
        for one in tracker.objects.values()
        if frame in one.rounds
    }
    answers = [one.answer for one in answered.values() if one.answer is not None]
    logits_b1hw = torch.cat([_seen_by_memory(tracker, answer) for answer in answers])
    if tracker.options.non_overlap_masks_for_mem_enc:
        logits_b1hw = suppress_overlaps(logits_b1hw)
    score_b1 = torch.stack([answer.answer.score_1 for answer in answers])
    spatial = tracker.model.encode_memory(
        tracker.image_features(frame),
        logits_b1hw,
        score_b1,
        binarize=tracker.options.binarize_mask_from_pts_for_mem_enc,
    )
    pointer_bd = torch.cat([answer.pointer_1d for answer in answers])
    memories = tracker.memories(frame, spatial, pointer_bd, score_b1)
    for number, memory in zip(answered, memories, strict=True):
        _store_prompted(tracker, tracker.objects[number], memory)
    objects = tracker.objects
    return {(frame, number) for number in answered if frame not in objects[number].outputs}


def _store_prompted(tracker: Tracker, one: TrackedObject, memory: FrameMemory) -> None:
    """Store the memory of a prompted frame; a correction may count as merely tracked."""
    asked = one.rounds.pop(memory.frame)[-1]
    if asked.answer is None:
        return
    answer = asked.answer.answer
    if asked.direction is None or tracker.options.add_all_frames_to_correct_as_cond:
        one.outputs[memory.frame] = answer.to(one.bank.device)
        one.bank.remember_prompted(memory)
    elif memory.frame not in one.outputs:
        one.bank.remember(memory, answer)
    if tracker.options.clear_non_cond_mem_around_input:
        tracker.forget_around(one, memory.frame)


def _seen_by_memory(tracker: Tracker, answer: PromptedOutput) -> Tensor:
    """Return the mask logits that the memory encoder sees, `(1, 1, S, S)`."""
    if tracker.options.mask_prompts_at_full_resolution and answer.full_logits_11hw is not None:
        return answer.full_logits_11hw
    side = tracker.model.image_size
    return functional.interpolate(answer.answer.logits_1hw[None], (side, side), mode="bilinear")
