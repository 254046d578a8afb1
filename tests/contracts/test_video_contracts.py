"""Twelve promises about videos; each is broken by one of the two other implementations.

Places: `HF` is models/sam2_video of transformers 5.23.0, `REF` facebookresearch/sam2 @ 2b90b9f.
"""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session_options import SessionOptions
from tests.drawn_video import clicks, drawn_video_model, noise_clip, own_video_model, pixel_values
from tests.fakes import center_of, fake_session_on, picture
from tests.small_checkpoint import small_config

ROOT = Path(__file__).parents[2]


def logits(session, **arguments):
    return {result.frame: result.logits_bhw for result in session.propagate(**arguments)}


def drawn_session(clip=None, **options):
    """A session of a real small model, where every answer depends on all that was read."""
    clip = noise_clip() if clip is None else clip
    return Sam2VideoInferenceSession.open(clip, drawn_video_model(), **options)


def test_1_prompts_added_in_two_calls_are_both_tracked(fake_session):
    """The second call overwrites the first: HF processing_sam2_video.py:734."""
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 2, (30, 40))
    fake_session.click(3, 1, (23, 20))

    results = list(fake_session.propagate())

    assert {result.object_ids for result in results} == {(1, 2)}
    assert fake_session._tracker.objects[1].bank.prompted.keys() == {0, 3}


def test_2_the_callers_lists_arrays_and_tensors_are_unchanged():
    """The caller's list is emptied: HF modeling_sam2_video.py:1843."""
    clip, mask = list(noise_clip()), torch.eye(48, 72) > 0
    xy, positive = [[20, 20], [30, 20]], [True, False]
    box = np.array([10.0, 10.0, 40.0, 30.0])
    before = [np.copy(frame) for frame in clip]
    session = drawn_session(clip)

    session.click(0, 1, xy, positive=positive)
    session.box(0, 2, box)
    session.mask(2, 3, mask)
    logits(session)

    assert (xy, positive) == ([[20, 20], [30, 20]], [True, False])
    assert box.tolist() == [10.0, 10.0, 40.0, 30.0]
    assert torch.equal(mask, torch.eye(48, 72) > 0)
    assert all(map(np.array_equal, clip, before))


def test_3_prompting_one_object_changes_nothing_of_another():
    """Its direction flips, and its memory is made binary: HF modeling_sam2_video.py:1839, :2778."""
    both, alone = drawn_session(), drawn_session()
    for session in (both, alone):
        session.click(7, 1, (20, 20))
        logits(session, direction="backward")
    both.click(3, 2, (50, 30))
    both.click(5, 2, (40, 30))

    found, expected = (logits(session, direction="backward") for session in (both, alone))

    for frame in expected:
        torch.testing.assert_close(found[frame][:1], expected[frame], atol=1e-4, rtol=0)
    assert set(both._tracker.objects[1].directions.values()) == {"backward"}
    assert both._tracker.objects[1].bank.prompted.keys() == {7}


def test_4_with_a_window_the_bytes_held_do_not_grow():
    """4.98 MB per frame and object stay, and every frame of a stream: HF modeling:2677, :2794."""
    session = fake_session_on(None, window=16)
    session.step(picture(0))
    session.click(0, 1, (20, 20))
    session.click(0, 2, (20, 40))
    held = {}
    for frame in range(1, 201):
        session.step(picture(frame))
        held[frame] = session.bytes_held(), len(session.frames.kept), len(session.masklet(1))

    assert held[200] == held[100]
    assert held[200][0].disk == 0


def test_5_every_stored_tensor_is_on_the_storage_device():
    """Spatial memories stay on the accelerator: HF modeling_sam2_video.py:2794."""
    session = fake_session_on(8)
    session._tracker.store_on("meta")
    session.click(0, 1, (20, 20))
    session.click(3, 1, (23, 20))

    session._tracker.consolidate_prompts()

    bank = session._tracker.objects[1].bank
    tensors = [t for m in bank.prompted.values() for t in (m.spatial_bx, m.pointer_bd, m.score_b1)]
    assert [tensor.device.type for tensor in tensors] == ["meta"] * 6


def test_5_tracked_memories_are_on_the_storage_device_too(monkeypatch):
    """They are written past the code that moves them: HF modeling_sam2_video.py:2794-2795."""
    session = fake_session_on(8)
    session.click(0, 1, (20, 20))
    list(session.propagate(limit=2))
    bank = session._tracker.objects[1].bank
    bank.device = "meta"
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape))

    list(session.propagate(start=2, limit=1))

    assert bank.spatial_bx(2).device.type == "meta"
    assert bank.pointer_bd(2).device.type == "meta"


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_6_a_limit_of_one_gives_one_frame(fake_session, direction):
    """It gives two: REF sam2_video_predictor.py:578, HF modeling_sam2_video.py:2851."""
    fake_session.click(4, 1, (20, 20))

    frames = [result.frame for result in fake_session.propagate(limit=1, direction=direction)]

    assert frames == [4]


@pytest.mark.parametrize("stride", [1, 2])
def test_7_forward_on_the_flipped_video_is_backward_on_the_video(stride):
    """Time is mirrored by hand in five places: REF sam2_base.py:543-562."""
    clip = noise_clip(12)
    options = {"memory_temporal_stride_for_eval": stride}
    if stride == 2:
        clip = clip[:11]  # so that multiples of the stride stay such when flipped
    last = len(clip) - 1
    flipped, plain = drawn_session(clip[::-1].copy(), **options), drawn_session(clip, **options)
    flipped.click(2, 1, (20, 20))
    plain.click(last - 2, 1, (20, 20))

    forward, backward = logits(flipped), logits(plain, direction="backward")

    assert {last - frame for frame in forward} == set(backward)
    for frame in forward:
        torch.testing.assert_close(forward[frame], backward[last - frame], atol=1e-5, rtol=0)


def test_8_a_step_in_training_gives_gradients_to_memory_encoder_and_attention():
    """Video training raises: HF modeling_sam2_video.py:1776."""
    model = own_video_model().train()
    features = model.encode_image(pixel_values())
    first = model.decode_masks(
        features, model.condition_on_memory(features, None), clicks(), multimask_output=True
    )
    memory = model.encode_memory(features, first.logits_b1hw, first.score_b1, binarize=False)

    embedding = model.condition_on_memory(features, MemoryInputs((memory,), (7,)))
    second = model.decode_masks(features, embedding, Prompts(), multimask_output=True)
    second.logits_b1hw.square().mean().backward()

    for part in (model.memory_encoder, model.memory_attention):
        assert any(weight.grad is not None and weight.grad.any() for weight in part.parameters())


@pytest.mark.parametrize("box_first", [True, False])
def test_9_a_click_and_a_box_together_work(fake_session, box_first):
    """UnboundLocalError: HF modeling_sam2_video.py:2033."""
    verbs = [
        lambda: fake_session.box(0, 1, (10, 10, 30, 30)),
        lambda: fake_session.click(0, 1, (15, 15), positive=False),
    ]
    for verb in verbs if box_first else reversed(verbs):
        verb()

    [result] = fake_session.propagate(limit=1)

    assert center_of(result.masks[1]) == pytest.approx((20, 20), abs=1)
    assert fake_session._tracker.objects[1].prompts[0].box == (10, 10, 30, 30)
    assert len(fake_session._tracker.objects[1].prompts[0].clicks) == 1


def test_10_every_public_option_is_exercised_by_name():
    """One of the options calls a method that is not there: REF sam2_video_predictor.py:526."""
    options = {field.name for field in fields(SessionOptions)}
    for verb in ("open", "click", "propagate", "frames_to_review"):
        signature = inspect.signature(getattr(Sam2VideoInferenceSession, verb))
        options |= {p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}

    named = set()
    for path in (ROOT / "tests" / "video").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword):
                named.add(node.arg)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
    assert options - named == set()


def test_11_removing_an_object_leaves_the_other_masklets_bit_identical():
    """Five dictionaries are renumbered: REF sam2_video_predictor.py:866-954."""
    session = drawn_session()
    for number, x in ((1, 20), (2, 40), (3, 60)):
        session.click(number, number, (x, 20))
    list(session.propagate())
    before = {number: list(session.masklet(number)) for number in (2, 3)}

    session.remove(1)
    list(session.propagate())  # tracked once more, without it

    assert session.object_ids == (2, 3)
    for number, masks in before.items():
        for (frame, mask), (same_frame, same) in zip(masks, session.masklet(number), strict=True):
            assert frame == same_frame
            assert np.array_equal(mask, same)


@pytest.mark.parametrize(("height", "width"), [(768, 512), (512, 768), (33, 700)])
def test_12_frames_of_any_shape_work(height, width):
    """The grid is taken for a square of 64: REF sam2_image_predictor.py:62, transformer.py:289."""
    session = drawn_session(noise_clip(3, height, width))
    session.click(0, 1, (width - 1, height - 1))
    session.box(1, 2, (0, 0, width, height))

    results = list(session.propagate())

    assert session.size == (height, width)
    assert {mask.shape for result in results for mask in result.masks.values()} == {(height, width)}


@pytest.mark.parametrize("image_size", [32, 96, 128])
def test_12_so_do_other_input_sizes_of_the_model(image_size):
    """The rotary table is fixed to its size in the config: REF transformer.py:269-292."""
    model = Sam2VideoModel(with_image_size(small_config(), image_size)).eval()
    session = Sam2VideoInferenceSession.open(noise_clip(3), model)
    session.click(0, 1, (20, 20))

    shapes = {result.logits_bhw.shape for result in session.propagate()}

    assert shapes == {(1, image_size // 4, image_size // 4)}
