"""One tracking step: pure, many objects at once, and trainable."""

from dataclasses import replace

import pytest
import torch
from peers import largest_difference

from sam2_hf.model.outputs import FrameFeatures, FrameMemory
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.policies.memory_policy import MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.tracking import NO_PROMPTS, condition_on_memories, decode_views, track_step
from tests.drawn_video import GRID, clicks, drawn_video_model, own_video_model, pixel_values
from tests.fakes import FakeModel
from tests.video.remembered import Remembered, drawn_memory, fake_remembered

SAME_SUMS = 1e-4  # logits are of order 3 and pass a hundred sums, each right to seven digits
ANSWER = ("candidates_bmhw", "candidate_iou_bm", "logits_b1hw", "iou_b1", "pointer_bd", "score_b1")
SAM2 = Sam2Policy(MemoryRules())
NOW = TrackingStep(10, num_frames=20)


def remembered(seed, *, prompted=(0,), tracked=(), objects=1):
    return Remembered(
        {frame: drawn_memory(frame, seed, objects) for frame in prompted},
        {frame: drawn_memory(frame, seed, objects) for frame in tracked},
    )


def many():
    """Four objects: the first and the last remember alike, one has a late prompt, one has two."""
    return [
        remembered(1, tracked=range(1, 10)),
        remembered(2, prompted=(8,), tracked=(9,)),
        remembered(4, prompted=(0, 15), tracked=(5, 6, 9)),
        remembered(3, tracked=range(1, 10)),
    ]


def assert_rows(together, row, alone):
    for name in ANSWER:
        own = getattr(together, name)[[row]]
        assert largest_difference(own, getattr(alone, name)) <= SAME_SUMS, name


@pytest.fixture(scope="module")
def model():
    return drawn_video_model()


@pytest.fixture(scope="module")
def features(model):
    with torch.no_grad():
        return model.encode_image(pixel_values())


@torch.no_grad()
def test_many_objects_get_what_each_gets_alone(model, features):
    together = track_step(model, features, many(), NO_PROMPTS, NOW, SAM2)

    for row, one in enumerate(many()):
        alone = track_step(model, features, [one], NO_PROMPTS, NOW, SAM2)
        assert_rows(together, row, alone)


@torch.no_grad()
def test_a_removed_object_leaves_the_others_as_they_were(model, features):
    without_second = [many()[0], *many()[2:]]

    together = track_step(model, features, many(), NO_PROMPTS, NOW, SAM2)
    left = track_step(model, features, without_second, NO_PROMPTS, NOW, SAM2)

    for row, before in enumerate((0, 2, 3)):
        alone = {name: getattr(left, name)[[row]] for name in ANSWER}
        for name in ANSWER:
            own = getattr(together, name)[[before]]
            assert largest_difference(own, alone[name]) <= SAME_SUMS


@torch.no_grad()
@pytest.mark.parametrize("points", [1, 3])
def test_prompts_of_many_objects_go_to_their_own(model, features, points):
    asked = clicks(objects=4, points=points)

    together = track_step(model, features, many(), asked, NOW, SAM2)

    for row, one in enumerate(many()):
        own = Prompts(asked.points_bpt2[[row]], asked.labels_bpt[[row]])
        assert_rows(together, row, track_step(model, features, [one], own, NOW, SAM2))


@torch.no_grad()
def test_earlier_masks_of_many_objects_go_to_their_own(model, features):
    asked = clicks(objects=4)
    masks = torch.randn(4, 1, 4 * GRID, 4 * GRID, generator=torch.Generator().manual_seed(0))
    asked = replace(asked, masks_bphw=masks)

    together = track_step(model, features, many(), asked, NOW, SAM2)

    for row, one in enumerate(many()):
        rows = [row]
        own = Prompts(asked.points_bpt2[rows], asked.labels_bpt[rows], masks_bphw=masks[rows])
        assert_rows(together, row, track_step(model, features, [one], own, NOW, SAM2))


@torch.no_grad()
def test_first_prompts_of_many_objects_are_answered_without_memories(model, features):
    asked = clicks(objects=3)

    together = track_step(model, features, None, asked, NOW, SAM2)

    for row in range(3):
        own = Prompts(asked.points_bpt2[[row]], asked.labels_bpt[[row]])
        assert_rows(together, row, track_step(model, features, None, own, NOW, SAM2))


@torch.no_grad()
def test_each_object_may_have_a_frame_of_its_own(model):
    """As in training, where the batch is made of different videos."""
    frames = model.encode_image(pixel_values(4))

    together = track_step(model, frames, many(), NO_PROMPTS, NOW, SAM2)

    for row, one in enumerate(many()):
        maps = (frames.fine_bchw, frames.coarse_bchw, frames.embedding_bchw)
        own = FrameFeatures(*(each[[row]] for each in maps))
        assert_rows(together, row, track_step(model, own, [one], NO_PROMPTS, NOW, SAM2))


@torch.no_grad()
def test_objects_that_were_always_together_may_share_a_bank(model, features):
    """As in training, where all objects of a clip are prompted on its first frame."""
    shared = remembered(1, tracked=range(1, 10), objects=3)

    together = track_step(model, features, [shared, many()[1]], NO_PROMPTS, NOW, SAM2)

    assert len(together.logits_b1hw) == 4
    for row in range(3):
        alone = track_step(model, features, [only(shared, row)], NO_PROMPTS, NOW, SAM2)
        assert_rows(together, row, alone)


def only(shared, row):
    """One of the objects of a bank that several share."""

    def cut(memory):
        spatial, pointer = memory.spatial_bx[[row]], memory.pointer_bd[[row]]
        return replace(memory, spatial_bx=spatial, pointer_bd=pointer)

    return Remembered(
        {frame: cut(memory) for frame, memory in shared.prompted.items()},
        {frame: cut(memory) for frame, memory in shared.tracked.items()},
    )


@torch.no_grad()
def test_a_step_reads_and_changes_nothing(model, features):
    objects, asked = many(), clicks(objects=4)
    memories = [
        memory for one in objects for memory in (*one.prompted.values(), *one.tracked.values())
    ]
    given = [
        *(tensor for m in memories for tensor in (m.spatial_bx, m.pointer_bd, m.score_b1)),
        *(features.fine_bchw, features.coarse_bchw, features.embedding_bchw),
        *(asked.points_bpt2, asked.labels_bpt),
    ]
    before = [tensor.clone() for tensor in given]

    first = track_step(model, features, objects, asked, NOW, SAM2)
    again = track_step(model, features, objects, asked, NOW, SAM2)

    assert all(map(torch.equal, given, before))
    assert torch.equal(first.logits_b1hw, again.logits_b1hw)


def counting(model):
    """Wrap the two heavy steps so that their calls are counted."""
    calls = {"condition_on_memory": 0, "decode_masks": 0}

    def counted(name):
        step = getattr(model, name)

        def call(*args, **kwargs):
            calls[name] += 1
            return step(*args, **kwargs)

        return call

    for name in calls:
        setattr(model, name, counted(name))
    return calls


def test_objects_that_remember_equally_much_share_every_call():
    """Transformers and the original run one object after the other."""
    model = FakeModel()
    calls = counting(model)
    objects = [fake_remembered(tracked=range(1, 10)) for _ in range(20)]

    track_step(model, fake_frame(), objects, NO_PROMPTS, NOW, SAM2)

    assert calls == {"condition_on_memory": 1, "decode_masks": 1}


def fake_frame():
    return FrameFeatures(*(torch.full((1, 1, 1, 1), 10.0) for _ in range(3)))


def test_a_step_in_training_gives_gradients_to_memory_encoder_and_attention():
    """Transformers cannot: modeling_sam2_video.py:1776 and :2679."""
    model = own_video_model().train()
    features = model.encode_image(pixel_values())
    first = track_step(model, features, None, clicks(objects=2), TrackingStep(0), SAM2)
    spatial = model.encode_memory(features, first.logits_b1hw, first.score_b1, binarize=False)
    shared = Remembered({0: FrameMemory(0, spatial, first.pointer_bd, first.score_b1)})

    second = track_step(model, features, [shared], NO_PROMPTS, TrackingStep(1), SAM2)
    second.logits_b1hw.square().mean().backward()

    for part in (model.memory_encoder, model.memory_attention, model.object_pointer_proj):
        assert any(weight.grad.any() for weight in part.parameters())
    assert model.vision_encoder.backbone.patch_embed.projection.weight.grad.any()


@torch.no_grad()
@pytest.mark.parametrize("banks", [many, lambda: None])
def test_a_view_of_a_frame_answers_prompt_after_prompt(model, features, banks):
    prompts = clicks(objects=4)
    corrected = replace(clicks(objects=4, points=2), masks_bphw=torch.zeros(4, 1, 16, 16))

    views = condition_on_memories(model, features, banks(), NOW, SAM2)

    for asked in (prompts, corrected, prompts):
        ours = decode_views(model, views, asked)
        theirs = track_step(model, features, banks(), asked, NOW, SAM2)
        assert all(torch.equal(getattr(ours, name), getattr(theirs, name)) for name in ANSWER)
