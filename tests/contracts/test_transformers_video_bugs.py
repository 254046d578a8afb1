"""Mistakes of transformers' video model, PEERS.md 5a (a number) and HOUSE.md 8.2 (H and a number).

MV is modeling_sam2_video.py of transformers 5.23.0, PV its processing_sam2_video.py.
"""

import copy

import numpy as np
import pytest
import torch

from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.model.position_encoding import cell_centers, sine_table
from sam2_hf.video.policies.memory_policy import MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.tracking import NO_PROMPTS, gather_memories, track_step
from tests.video.transformers_usage import SIZE, add_click, memories_of, open_clip

ROUNDING = 1e-4  # logits of order 3: the same products, in batches of another size

SAM2 = Sam2Policy(MemoryRules())


def tracked(model, session, **course):
    """Logits of each frame by `propagate_in_video_iterator`."""
    outputs = model.propagate_in_video_iterator(session, **course)
    return {one.frame_idx: one.pred_masks for one in outputs}


def test_the_callers_list_of_objects_stays_as_it_is(tiny_video_model, video_processor):
    """5a-3a, H3: the model removes what it has answered from the user's list: PV:734, MV:1843."""
    ids, session = [1, 2], open_clip(video_processor)

    add_click(video_processor, session, 0, ids)
    tiny_video_model(session, frame_idx=0)

    assert ids == [1, 2]


def test_objects_prompted_in_two_calls_are_both_tracked(tiny_video_model, video_processor):
    """5a-3b, H2: the second call overwrites the first one's object, then ValueError: PV:734."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, 1)
    add_click(video_processor, session, 0, 2, xy=(60, 30))

    output = tiny_video_model(session, frame_idx=0)

    assert output.object_ids == [1, 2]
    assert output.pred_masks.shape == (2, 1, 16, 16)


def test_prompts_on_two_frames_are_both_remembered(tiny_video_model, video_processor):
    """5a-3c: the click on the later frame is silently ignored: MV:1843."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, 1)
    add_click(video_processor, session, 5, 1, xy=(50, 20))

    tiny_video_model(session, frame_idx=0)

    assert set(memories_of(session, 1).prompted) == {0, 5}


def test_only_the_prompted_frame_becomes_a_prompted_frame(tiny_video_model, video_processor):
    """5a-4: frames 0 to 4 become conditioning frames without a prompt: MV:1836."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 5, 1)

    tracked(tiny_video_model, session, start_frame_idx=0)

    assert set(memories_of(session, 1).prompted) == {5}
    assert memories_of(session, 1).tracked == [0, 1, 2, 3, 4, 6, 7]


def test_a_step_while_training_gives_gradients_to_memory(tiny_video_model):
    """5a-5, H11: inference_mode, and KeyError 'object_score_logits': MV:1776, MV:2680."""
    model = copy.deepcopy(tiny_video_model).train()
    features = model.encode_image(torch.randn(1, 3, 64, 64))
    logits = torch.randn(1, 1, 16, 16)
    spatial = model.encode_memory(features, logits, torch.ones(1, 1), binarize=False)
    past = Past({0: (spatial, torch.randn(1, 32))})

    masks = track_step(model, features, [past], NO_PROMPTS, TrackingStep(1), SAM2)
    masks.logits_b1hw.sum().backward()

    for part in (model.memory_encoder, model.memory_attention):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())


def test_the_device_holds_no_more_after_forty_frames_than_after_twenty(
    tiny_video_model, video_processor
):
    """5a-6: 5 MB per object and frame stay on the device for good: MV:2677, MV:2794."""
    session = open_clip(video_processor, 40)
    add_click(video_processor, session, 0, [1, 2])
    held = []

    for output in tiny_video_model.propagate_in_video_iterator(session):
        if output.frame_idx in (20, 39):
            held.append(session.bytes_held().device)

    assert held[0] == held[1] > 0


def test_memories_are_on_the_state_device(tiny_video_model, video_processor):
    """5a-7, H5: the largest tensors stay on the inference device: MV:2794."""
    session = open_clip(video_processor, inference_state_device="meta")
    add_click(video_processor, session, 0, 1)
    session.use_model(tiny_video_model)

    session._tracker.consolidate_prompts()

    memory = memories_of(session, 1).prompted[0]
    devices = {t.device.type for t in (memory.spatial_bx, memory.pointer_bd, memory.score_b1)}
    assert devices == {"meta"}


def test_all_objects_share_each_call_of_memory_attention(tiny_video_model, video_processor):
    """5a-8: 12 frames of 3 objects take 33 calls: MV:1816."""
    calls, session = [], open_clip(video_processor)
    add_click(video_processor, session, 0, [1, 2, 3])
    hook = tiny_video_model.memory_attention.register_forward_hook(lambda *_: calls.append(1))

    tracked(tiny_video_model, session)
    hook.remove()

    assert len(calls) == 7  # one for each frame after the first


def test_constant_tables_are_computed_once(tiny_video_model, video_processor, monkeypatch):
    """5a-9: positions of the image 36 times in a short run, sine tables 48: MV:2047, MV:397."""
    model, calls, session = copy.deepcopy(tiny_video_model), [], open_clip(video_processor)
    add_click(video_processor, session, 0, [1, 2, 3])
    monkeypatch.setattr(  # not a hook, for which the module would be called every time
        "sam2_hf.model.promptable_model.cell_centers",
        lambda *grid: calls.append(1) or cell_centers(*grid),
    )
    tiny_video_model(session, frame_idx=0)
    before = sine_table.cache_info().misses

    tracked(model, session)

    assert len(calls) == 1
    assert sine_table.cache_info().misses - before <= 2  # image and memory


def test_a_correction_starts_from_the_mask_that_is_corrected(tiny_video_model, video_processor):
    """5a-10: `prev_sam_mask_logits` is never passed: MV:2588."""
    answers = []
    for feeds in (True, False):
        session = open_clip(video_processor, prev_sam_mask_logits=feeds)
        add_click(video_processor, session, 0, 1)
        tiny_video_model(session, frame_idx=0)
        add_click(video_processor, session, 0, 1, xy=(60, 30))
        answers.append(tiny_video_model(session, frame_idx=0).pred_masks)

    assert (answers[0] - answers[1]).abs().max() > 0.01


def test_clicking_one_object_leaves_the_memory_of_another_alone(tiny_video_model, video_processor):
    """5a-11, H7: a click binarizes the masks of all objects on the frame: MV:2778."""
    alone, together = open_clip(video_processor), open_clip(video_processor)
    for session in (alone, together):
        add_click(video_processor, session, 0, 2)
    add_click(video_processor, together, 3, 1, xy=(60, 30))

    for session in (alone, together):
        tracked(tiny_video_model, session, max_frame_num_to_track=3, start_frame_idx=0)

    expected, found = (memories_of(one, 2).spatial_bx(3).float() for one in (alone, together))
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.01)  # one step of bfloat16


def test_a_new_object_does_not_turn_the_others_around(tiny_video_model, video_processor):
    """5a-12, H4: `reverse = False` of one object holds for those after it: MV:1839."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 6, 2)
    tiny_video_model(session, frame_idx=6)
    add_click(video_processor, session, 4, 1)

    tiny_video_model(session, frame_idx=4, reverse=True)

    assert session._tracker.objects[2].directions[4] == "backward"


def test_a_correction_on_a_tracked_frame_is_kept(tiny_video_model, video_processor):
    """5a-13: the next propagation overwrites it."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, 1)
    tracked(tiny_video_model, session)
    add_click(video_processor, session, 4, 1, xy=(60, 30))
    corrected = tiny_video_model(session, frame_idx=4).pred_masks

    again = tracked(tiny_video_model, session)

    assert torch.equal(again[4], corrected)


def test_a_longer_prompt_beside_it_does_not_change_an_answer(tiny_video_model, video_processor):
    """5a-14: padding is attended to and counted as clicks."""
    alone, together = open_clip(video_processor), open_clip(video_processor)
    add_click(video_processor, alone, 0, 1)
    video_processor.add_inputs_to_inference_session(
        together, 0, [1, 2], input_points=[[[[30, 20]], [[60, 30], [10, 10], [5, 5]]]],
        input_labels=[[[1], [1, 0, 0]]],
    )  # fmt: skip

    found, expected = (tiny_video_model(one, frame_idx=0).pred_masks for one in (together, alone))

    assert torch.equal(found[:1], expected)


@pytest.mark.parametrize("channels", [256, 64])
def test_position_tables_are_rounded_once_in_bfloat16(channels):
    """5a-18: computed in bfloat16 they are off by 0.028, those of memory by 0.016: MV:397."""
    exact = sine_table(64, 64, channels, torch.device("cpu"), torch.float32)
    rounded = sine_table(64, 64, channels, torch.device("cpu"), torch.bfloat16)

    assert (exact - rounded.float()).abs().max() < 0.004


def test_the_way_of_a_given_mask_into_memory_is_a_switch(tiny_video_model, video_processor):
    """5a-20: always at full resolution, the original goes by way of the small mask: MV:2162."""
    line = np.zeros(SIZE, bool)
    line[20:22] = True
    memories = []
    for option in (False, True):
        session = open_clip(video_processor, mask_prompts_at_full_resolution=option)
        video_processor.add_inputs_to_inference_session(session, 0, 1, input_masks=line)
        tiny_video_model(session, frame_idx=0)
        memories.append(memories_of(session, 1).prompted[0].spatial_bx)

    assert not torch.equal(*memories)


class Past:
    """What one object remembers of some frames, all of them prompted ones."""

    references = ()

    def __init__(self, prompted):
        self.prompted = {
            frame: Recalled(spatial, pointer) for frame, (spatial, pointer) in prompted.items()
        }

    def spatial_bx(self, frame):
        return None

    def pointer_bd(self, frame):
        return None


class Recalled:
    """One memory."""

    def __init__(self, spatial_bx, pointer_bd):
        self.spatial_bx, self.pointer_bd = spatial_bx, pointer_bd


def test_a_limit_of_prompted_frames_holds_for_pointers_too():
    """5a-21, H14: pointers ignore the limit, and the frames left out do not count as tracked."""
    past = Past({f: (torch.zeros(1, 1, 1, 1), torch.full((1, 1), f)) for f in (0, 5, 8, 9)})

    policy = Sam2Policy(MemoryRules(max_prompted=2, num_pointers=6))
    found = gather_memories(past, TrackingStep(10), policy)

    assert found.ages == (7, 7, 5)  # 9 and 8 are chosen; 5 is within reach of a tracked frame
    assert found.pointers_bpd[0, :, 0].tolist() == [9, 8, 5]


def test_features_may_differ_from_object_to_object(tiny_video_model):
    """H9: `expand` on a list, AttributeError for a batch: MV:1958."""
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    memory = (torch.randn(1, 16, 4, 4), torch.randn(1, 32))
    past = [Past({0: memory}), Past({0: memory})]

    def step(frames, memories) -> ObjectMasks:
        features = tiny_video_model.encode_image(frames)
        return track_step(tiny_video_model, features, memories, NO_PROMPTS, TrackingStep(1), SAM2)

    with torch.no_grad():
        both, second = step(pictures, past), step(pictures[1:], past[1:])

    torch.testing.assert_close(both.logits_b1hw[1:], second.logits_b1hw, atol=ROUNDING, rtol=0)
