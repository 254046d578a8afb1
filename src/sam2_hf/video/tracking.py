"""Tracking step: a pure function for all objects of a frame, shared by sessions and training.

Suffixes: b = objects, p = pointers, x = dimensions of a spatial memory, d = decoder
channels (256), h, w = rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sam2_hf.model.memory_tokens import MemoryInputs, MemoryKind, MemorySource
from sam2_hf.model.outputs import FrameFeatures, ObjectMasks
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.policies.hypothesis import Memories
from sam2_hf.video.policies.memory_policy import Choice, MemoryPolicy, TrackingStep

from .tracking_model import TrackingModel

NO_PROMPTS = Prompts()
PROMPTED: MemoryKind = "prompted"
TRACKED: MemoryKind = "tracked"


def track_step(
    model: TrackingModel,
    features: FrameFeatures,
    memories: Sequence[Memories] | None,
    prompts: Prompts,
    step: TrackingStep,
    policy: MemoryPolicy,
    *,
    dynamic_multimask_via_stability: bool | None = None,
) -> ObjectMasks:
    """Segment one frame for all objects, without side effects.

    Args:
        model: The model.
        features: The frame; one for all objects, or one for each.
        memories: Memories of each object; None for a frame segmented from prompts alone, such as
            the first.
        prompts: Clicks and earlier mask logits of every object, in model pixels, shapes
            `(b, 1, ...)`; `NO_PROMPTS` on a frame that is only tracked.
        step: The current frame.
        policy: Selects the memories to attend to.
        dynamic_multimask_via_stability: As in `decode_views`.

    Returns:
        Masks, scores and pointers, objects in the order of `memories`.

    Source: sam2/modeling/sam2_base.py:728-799 @ 2b90b9f.
    Differs: objects are the batch. Those with equally many memories run together, so no token is
        padded and results equal those of each object alone.
    """
    views = condition_on_memories(model, features, memories, step, policy)
    return decode_views(
        model, views, prompts, dynamic_multimask_via_stability=dynamic_multimask_via_stability
    )


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedFrame:
    """A frame conditioned on the memories of objects that have equally many.

    Attributes:
        features: The frame; one for all these objects, or one for each.
        embedding_bdhw: Conditioned embedding; b = 1 on a frame without memories.
        rows: Their rows of the prompts; None for all.
        tracked: Whether memories were attended to.
    """

    features: FrameFeatures
    embedding_bdhw: Tensor
    rows: list[int] | None
    tracked: bool


def condition_on_memories(
    model: TrackingModel,
    features: FrameFeatures,
    memories: Sequence[Memories] | None,
    step: TrackingStep,
    policy: MemoryPolicy,
) -> list[ConditionedFrame]:
    """Condition a frame on memories: the half of a step that does not depend on prompts.

    Successive prompts on one frame share it. Arguments as in `track_step`.

    Returns:
        One view for each group of objects with equally many memories.
    """
    if memories is None:
        return view(model, features, None)
    return view(model, features, [gather_memories(bank, step, policy) for bank in memories])


def view(
    model: TrackingModel, features: FrameFeatures, inputs: list[MemoryInputs] | None
) -> list[ConditionedFrame]:
    """Condition a frame on gathered memories; see `condition_on_memories`.

    Args:
        model: The model.
        features: The frame; one for all objects, or one for each.
        inputs: Output of `gather_memories` for each object; None on a frame without memories.
    """
    if inputs is None:
        return [
            ConditionedFrame(
                features, model.condition_on_memory(features, None), None, tracked=False
            )
        ]
    starts = _starts(inputs)
    device = features.embedding_bchw.device
    views = []
    for group in _alike(inputs):
        rows = [row for index in group for row in range(starts[index], starts[index + 1])]
        # memories may be on another device than the model
        together = _join([inputs[index] for index in group]).to(device)
        is_all = rows == list(range(starts[-1]))
        own = features if is_all else _rows(features, rows)
        embedding = model.condition_on_memory(own, together)
        views.append(ConditionedFrame(own, embedding, None if is_all else rows, tracked=True))
    return views


def decode_views(
    model: TrackingModel,
    views: list[ConditionedFrame],
    prompts: Prompts,
    *,
    dynamic_multimask_via_stability: bool | None = None,
) -> ObjectMasks:
    """Decode the masks of every object: the half of a step that depends on prompts.

    Args:
        model: The model.
        views: Output of `condition_on_memories`.
        prompts: As in `track_step`.
        dynamic_multimask_via_stability: Whether an unstable single mask is replaced by the best of
            the three; the model's config decides if None.

    Returns:
        Masks, scores and pointers, objects in the order of the prompts.
    """
    multimask = chooses_among_masks(model, prompts, tracked=views[0].tracked)
    found = []
    for view in views:
        asked = prompts if view.rows is None else _rows_of_prompts(prompts, view.rows)
        found.append(
            model.decode_masks(
                view.features,
                view.embedding_bdhw,
                asked,
                multimask_output=multimask,
                dynamic_multimask_via_stability=dynamic_multimask_via_stability,
            )
        )
    return _in_order([view.rows or [] for view in views], found)


def chooses_among_masks(model: TrackingModel, prompts: Prompts, *, tracked: bool) -> bool:
    """Tell whether a step decodes three masks and keeps the best one.

    Source: sam2/modeling/sam2_base.py:883-891 @ 2b90b9f.
    """
    config = model.config
    count = 0 if prompts.labels_bpt is None else prompts.labels_bpt.shape[-1]
    in_range = config.multimask_min_pt_num <= count <= config.multimask_max_pt_num
    allowed = config.multimask_output_for_tracking or not tracked
    return config.multimask_output_in_sam and allowed and in_range


def gather_memories(memories: Memories, step: TrackingStep, policy: MemoryPolicy) -> MemoryInputs:
    """Gather the references, and the memories that a policy selects for a frame.

    Selected frames without a memory are skipped. References come first, as the prompted frame of
    most videos does.

    Source: sam2/modeling/sam2_base.py:520-637 @ 2b90b9f.
    """
    largest_age = policy.rules.num_memories
    choice = policy.select(step, memories)
    conditioning = {
        frame for frame, age in choice if age == largest_age and frame in memories.prompted
    }
    spatial: list[Tensor] = []
    ages: list[int] = []
    sources: list[MemorySource] = []
    for frame, age in choice:
        known, kind = memories.prompted.get(frame), PROMPTED
        memory = None if known is None else known.spatial_bx
        if frame not in conditioning or age != largest_age:
            unchosen = None if frame in conditioning else memory
            tracked = memories.spatial_bx(frame)
            memory, kind = (unchosen, kind) if tracked is None else (tracked, TRACKED)
        if memory is not None:
            spatial.append(memory)
            ages.append(age)
            sources.append((kind, frame))
    pointers, times, seen = _pointers(
        memories, policy.select_pointers(step, memories), conditioning
    )
    longest = policy.rules.longest_time(step)
    for number, reference in enumerate(memories.references):
        spatial.insert(number, reference.spatial_bx)
        ages.insert(number, largest_age)
        sources.insert(number, ("reference", None))
        pointers.insert(number, reference.pointer_bd)
        times.insert(number, float(longest))
        seen.insert(number, ("reference", None))
    if not pointers:
        return MemoryInputs(tuple(spatial), tuple(ages), spatial_sources=tuple(sources))
    pointers_bpd = torch.stack(pointers, dim=1)
    times_p = torch.tensor(times)  # on the host, where they are used
    times_bp = (times_p / longest).expand(len(pointers_bpd), -1)
    return MemoryInputs(
        tuple(spatial), tuple(ages), pointers_bpd, times_bp, tuple(sources), tuple(seen)
    )


def _pointers(
    memories: Memories, choice: Choice, conditioning: set[int]
) -> tuple[list[Tensor], list[float], list[MemorySource]]:
    """Read the pointers of selected frames, their ages and where they come from.

    The first occurrence of a conditioning frame refers to its prompt's pointer.
    """
    pointers: list[Tensor] = []
    times: list[float] = []
    sources: list[MemorySource] = []
    unread = set(conditioning)
    for frame, age in choice:
        known, kind = memories.prompted.get(frame), PROMPTED
        pointer = None if known is None else known.pointer_bd
        if frame not in unread:
            unchosen = None if frame in conditioning else pointer
            tracked = memories.pointer_bd(frame)
            pointer, kind = (unchosen, kind) if tracked is None else (tracked, TRACKED)
        unread.discard(frame)
        if pointer is not None:
            pointers.append(pointer)
            times.append(float(age))
            sources.append((kind, frame))
    return pointers, times, sources


def _alike(inputs: list[MemoryInputs]) -> list[list[int]]:
    """Group objects with equal memory ages and equally many pointers."""
    groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for index, memories in enumerate(inputs):
        count = 0 if memories.pointers_bpd is None else memories.pointers_bpd.shape[1]
        groups.setdefault((memories.ages, count), []).append(index)
    return list(groups.values())


def _starts(inputs: list[MemoryInputs]) -> list[int]:
    """List the first row of each object, and the end."""
    starts = [0]
    for memories in inputs:
        starts.append(starts[-1] + memories.num_objects)
    return starts


def _join(parts: list[MemoryInputs]) -> MemoryInputs:
    """Stack the memories of objects that have equally many."""
    if len(parts) == 1:
        return parts[0]
    spatial = tuple(torch.cat(rows) for rows in zip(*(p.spatial for p in parts), strict=True))
    pointers = [part.pointers_bpd for part in parts if part.pointers_bpd is not None]
    times = [part.times_bp for part in parts if part.times_bp is not None]
    return MemoryInputs(
        spatial,
        parts[0].ages,
        torch.cat(pointers) if pointers else None,
        torch.cat(times) if times else None,
    )


def _rows(features: FrameFeatures, rows: list[int]) -> FrameFeatures:
    """Select the frames of some objects; shared ones are returned unchanged."""
    if len(features.embedding_bchw) == 1:
        return features
    return FrameFeatures(*(getattr(features, field.name)[rows] for field in fields(features)))


def _rows_of_prompts(prompts: Prompts, rows: list[int]) -> Prompts:
    values = (getattr(prompts, field.name) for field in fields(prompts))
    return Prompts(*(None if value is None else value[rows] for value in values))


def _in_order(rows: list[list[int]], found: list[ObjectMasks]) -> ObjectMasks:
    """Concatenate the outputs of all groups, in order of objects."""
    if len(found) == 1:
        return found[0]
    order = torch.tensor([row for group in rows for row in group]).argsort()
    names = [field.name for field in fields(ObjectMasks)]
    joined = {
        name: torch.cat([getattr(masks, name) for masks in found])
        for name in names
        if getattr(found[0], name) is not None
    }
    return ObjectMasks(**{name: values[order.to(values.device)] for name, values in joined.items()})
