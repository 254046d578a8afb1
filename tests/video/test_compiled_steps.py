import dataclasses
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn import functional

from sam2_hf import compiling
from sam2_hf.compiling import Compiled
from sam2_hf.model import memory_attention, modeling_sam2_video
from sam2_hf.model.kernels.gpu_attention import Tiles
from sam2_hf.video import compiled_steps
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.compiled_steps import encode_frame, track_fixed
from sam2_hf.video.static_memory import MemorySlots, ShapeBucket
from tests.drawn_video import (
    drawn_video_model,
    noise_clip,
    own_video_model,
    pixel_values,
    recollection as drawn_recollection,
)

CLIP = noise_clip(20)
FEW = 6  # frames; the second object is there on the last ones, and memory never full


@pytest.fixture(autouse=True)
def refusals(monkeypatch):
    """Trace and guard as torch does, but let each operation run as it is.

    Returns:
        What could not be compiled; a test that expects something of it empties the list.
    """
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(compiled_steps, "Compiled", partial(Compiled, backend="eager"))
    heard = []
    monkeypatch.setattr(
        compiling.logger, "warning", lambda text, *words: heard.append(text % words)
    )
    yield heard
    assert not heard


def tracked(*, objects=1, limit=None, **options):
    """Logits of every frame, or of the first ones, by object; the second object appears late."""
    session = Sam2VideoInferenceSession.open(CLIP, drawn_video_model(), **options)
    for number in range(objects):
        session.click(3 * number, number + 1, [(20.0 + 9 * number, 30.0)])
    for result in session.propagate(limit=limit):
        yield {
            object_id: result.logits_bhw[row].numpy()
            for row, object_id in enumerate(result.object_ids)
        }


def test_tracks_as_without_and_compiles_three_graphs_for_a_video_and_none_for_the_next():
    """Of encoding; of tracking while memory fills; of tracking with all it can hold."""
    plain, compiled = list(tracked()), list(tracked(compile=True))
    assert counters["stats"]["unique_graphs"] == 3
    for expected, found in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-3, atol=1e-3)
    list(tracked(compile=True))
    assert counters["stats"]["unique_graphs"] == 3


def test_tracks_several_objects_as_without():
    plain = list(tracked(objects=3))
    compiled = list(tracked(objects=3, compile=True))
    assert counters["stats"]["unique_graphs"] > 0
    for expected, found in zip(plain, compiled, strict=True):
        assert expected.keys() == found.keys()
        for object_id in expected:
            np.testing.assert_allclose(found[object_id], expected[object_id], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("option", ["non_overlap_masks", "non_overlap_masks_for_mem_enc"])
def test_keeps_objects_apart_as_without(option):
    plain = list(tracked(objects=2, limit=FEW, **{option: True}))
    compiled = list(tracked(objects=2, limit=FEW, compile=True, **{option: True}))
    for expected, found in zip(plain, compiled, strict=True):
        for object_id in expected:
            np.testing.assert_allclose(found[object_id], expected[object_id], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_compiled_too(dtype):
    session = Sam2VideoInferenceSession.open(CLIP, own_video_model().to(dtype), compile=True)
    session.click(0, 1, [(20.0, 30.0)])
    list(session.propagate(limit=2))
    assert counters["stats"]["unique_graphs"] == 2


def test_attention_in_parts_is_compiled_too(monkeypatch):
    """Its kernel needs a GPU, so torch's attention stands in for it."""

    def in_parts(query, key, value, bias, tiles):
        mask = None if bias is None else bias[:, None]
        return functional.scaled_dot_product_attention(query, key, value, mask, scale=1.0)

    monkeypatch.setattr(memory_attention, "attend_in_parts", in_parts)
    monkeypatch.setattr(modeling_sam2_video, "best_tiles", lambda *_: Tiles(64, 64, 8))
    plain, compiled = list(tracked(limit=FEW)), list(tracked(limit=FEW, compile=True))
    for expected, found in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-3, atol=1e-3)
    assert counters["stats"]["unique_graphs"] == 2
    monkeypatch.setattr(memory_attention, "attend_in_parts", lambda *parts: 2 * in_parts(*parts))
    assert not np.allclose(next(islice(tracked(compile=True), 1, None))[1], plain[1][1], atol=1e-3)


def test_a_session_may_leave_inference_mode():
    plain, compiled = list(tracked(limit=FEW)), tracked(limit=FEW, compile=True)
    with torch.inference_mode():
        found = [next(compiled) for _ in range(3)]
    found += list(compiled)
    for expected, masks in zip(plain, found, strict=True):
        np.testing.assert_allclose(masks[1], expected[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("end", ["settle", "close"])
def test_memories_are_counted_and_go_with_the_session(end):
    session = Sam2VideoInferenceSession.open(CLIP, drawn_video_model(), compile=True)
    plain = Sam2VideoInferenceSession.open(CLIP, drawn_video_model())
    for one in (session, plain):
        one.click(0, 1, [(20.0, 30.0)])
        list(one.propagate(limit=3))
    assert session.bytes_held().device > plain.bytes_held().device
    getattr(session, end)()
    assert session._tracker.encoder._compiled_steps is None


def test_other_weights_of_the_same_model_give_other_masks():
    model = own_video_model()

    def first_logits():
        session = Sam2VideoInferenceSession.open(CLIP, model, compile=True)
        session.click(0, 1, [(20.0, 30.0)])
        *_, last = session.propagate(limit=2)
        return last.logits_bhw

    before = first_logits()
    with torch.no_grad():
        model.memory_encoder.projection.bias.add_(1.0)
    assert not torch.allclose(before, first_logits())


@torch.no_grad()
def test_nothing_between_two_frames_waits_for_numbers():
    """On the meta device there are no numbers: whoever asks for one fails."""
    memories = [drawn_recollection(1, ages=(7, 1), pointers=2)]
    fixed = MemorySlots(drawn_video_model(), ShapeBucket(2, 7, 16), torch.bfloat16).fill(memories)
    model = own_video_model().to("meta")
    encoded = encode_frame(model, pixel_values().to("meta"))
    features = compiled_steps.FrameFeatures(*encoded)
    *answer, memory = track_fixed(model, features, on_meta(fixed))
    assert all(values.is_meta and len(values) == 2 for values in (*answer, memory))


def on_meta(memories):
    values = (getattr(memories, field.name) for field in dataclasses.fields(memories))
    return dataclasses.replace(
        memories,
        **{
            field.name: value.to("meta") if isinstance(value, torch.Tensor) else value
            for field, value in zip(dataclasses.fields(memories), values, strict=True)
        },
    )


def test_a_step_that_cannot_be_compiled_still_tracks(monkeypatch, refusals):
    monkeypatch.setattr(compiled_steps, "Compiled", partial(Compiled, backend="failing"))

    @torch._dynamo.register_backend
    def failing(graph, inputs):
        raise RuntimeError("no compiler")

    plain = list(tracked(limit=FEW))
    found = list(tracked(limit=FEW, compile=True))
    for expected, masks in zip(plain, found, strict=True):
        np.testing.assert_allclose(masks[1], expected[1], rtol=1e-3, atol=1e-3)
    assert ["no compiler" in text for text in refusals] == [True, True]
    refusals.clear()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, while it imports its compiler
def test_tracks_through_the_real_compiler(monkeypatch):
    monkeypatch.setattr(compiled_steps, "Compiled", Compiled)
    plain, compiled = tracked(), tracked(compile=True)
    for _ in range(4):
        np.testing.assert_allclose(next(compiled)[1], next(plain)[1], rtol=1e-3, atol=1e-3)
