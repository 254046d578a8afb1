"""Explanations: the weights of memories are those of the attention, and cost tracking nothing."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError, SessionError, UnknownObjectError
from sam2_hf.model.position_encoding import rotate
from sam2_hf.video.policies import distractor
from sam2_hf.video.session import VideoSession
from tests.drawn_video import drawn_video_model, noise_clip, own_video_model
from tests.fakes import fake_session_on

CLIP = noise_clip(12)
MASK = np.zeros((48, 72), bool)
MASK[10:30, 20:50] = True


@pytest.fixture(scope="module")
def session():
    """Tracked forward: a reference, a prompt on frame 1, and a correction on frame 4."""
    made = VideoSession.open(CLIP, drawn_video_model())
    made.reference(noise_clip(1, seed=3)[0], MASK, 1)
    made.click(1, 1, (30, 20))
    list(made.propagate())
    made.click(4, 1, (33, 20))
    list(made.propagate(4))
    return made


def attended(session, frame):
    """Weights of each key by plain attention, from what the layers are given on this frame."""
    model, found = own_video_model(), []

    def note(attention, inputs):
        query_bqd, memories, table = inputs
        with torch.no_grad():
            query = rotate(attention.q_proj(query_bqd)[:, None], table)
            key = attention.k_proj(memories.keys_bkc)[:, None]
            placed = key.shape[2] - memories.num_pointer_tokens
            key = torch.cat((rotate(key[:, :, :placed], table), key[:, :, placed:]), dim=2)
            found.append((query @ key.mT * attention.scaling).softmax(-1)[0, 0])

    for layer in model.memory_attention.layers:
        layer.cross_attn_image.register_forward_pre_hook(note)
    twin = copy.deepcopy(session)
    twin.use_model(model)
    list(twin.propagate(frame, 1))
    return torch.stack(found).mean(dim=0)  # (cells, keys)


@pytest.mark.parametrize("mask_only", [False, True])
def test_weights_are_those_of_the_attention(session, mask_only):
    expected_qk = attended(session, 8)
    session = copy.deepcopy(session)
    session._tracker.objects[1].masklet.put(8, MASK, 0.9, 1.0)
    side = int(len(expected_qk) ** 0.5)
    if mask_only:
        touched = torch.zeros(side, side, dtype=bool)
        touched[0:3, 1:3] = True  # rows 10 to 30 of 48, columns 20 to 50 of 72
        expected_qk = expected_qk[touched.flatten()]
    expected_k = expected_qk.mean(dim=0)

    found = session.explain(8, 1, mask_only=mask_only)

    cells = side * side
    for number, memory in enumerate(found.memories):
        map_n = expected_k[number * cells :][:cells]
        np.testing.assert_allclose(memory.map_hw.ravel(), map_n, rtol=1e-3, atol=1e-7)
        assert memory.weight == pytest.approx(float(map_n.sum()), rel=1e-3)
    of_pointers = expected_k[len(found.memories) * cells :].reshape(len(found.pointers), -1)
    weights = [pointer.weight for pointer in found.pointers]
    np.testing.assert_allclose(weights, of_pointers.sum(dim=1), rtol=1e-3, atol=1e-7)
    assert sum(weights) + sum(m.weight for m in found.memories) == pytest.approx(1, abs=1e-5)


def test_it_names_what_the_frame_read(session):
    found = session.explain(8, 1)

    read = [(memory.kind, memory.frame, memory.age) for memory in found.memories]
    assert read == [
        ("reference", None, 7),
        ("prompted", 1, 7),
        ("prompted", 4, 7),
        *(("tracked", frame, 8 - frame) for frame in (2, 3, 5, 6, 7)),
    ]
    assert [(p.kind, p.frame, round(15 * p.age)) for p in found.pointers] == [
        ("reference", None, 15),
        ("prompted", 1, 7),
        ("prompted", 4, 4),
        *(("tracked", frame, 8 - frame) for frame in (7, 6, 5, 3, 2)),
    ]
    assert (found.frame, found.object_id, found.direction) == (8, 1, "forward")
    total = sum(found.weight_of(frame) for frame in (None, *range(1, 8)))
    assert total == pytest.approx(1, abs=1e-5)


def test_resolving_frames_are_tracked_ones_though_they_are_as_old_as_prompts(monkeypatch):
    monkeypatch.setattr(distractor, "resolves_distractor", lambda found, chosen: True)
    monkeypatch.setattr(distractor, "MIN_IOU", -1.0)
    monkeypatch.setattr(distractor, "SIZES", (0.0, 100.0))
    session = VideoSession.open(CLIP, drawn_video_model(), memory_policy="distractor")
    session.mask(0, 1, MASK)
    list(session.propagate())

    found = session.explain(11, 1)

    apart = [(m.kind, m.frame) for m in found.memories if m.age == 7]
    assert apart == [("prompted", 0), ("tracked", 2), ("tracked", 8)]
    assert {(p.kind, p.frame) for p in found.pointers} >= set(apart)


def test_a_prompted_frame_beyond_the_limit_is_still_a_prompted_one():
    session = VideoSession.open(CLIP, drawn_video_model(), max_cond_frames_in_attn=2)
    for frame in (0, 5, 6, 7):
        session.mask(frame, 1, MASK)
    list(session.propagate())

    found = session.explain(8, 1)

    kinds = {memory.frame: (memory.kind, memory.age == 7) for memory in found.memories}
    assert [kinds[frame] for frame in (7, 6, 5, 4)] == [
        ("prompted", True),
        ("prompted", True),
        ("prompted", False),
        ("tracked", False),
    ]
    assert {p.frame: p.kind for p in found.pointers}[5] == "prompted"


@pytest.mark.parametrize("afterwards", ["tree", "sam2"])
def test_a_frame_of_several_hypotheses_is_refused(afterwards):
    session = VideoSession.open(CLIP[:4], drawn_video_model(), memory_policy="tree")
    session.mask(0, 1, MASK)
    list(session.propagate())
    session.use_options(replace(session.options, memory_policy=afterwards))

    with pytest.raises(SessionError, match="hypotheses"):
        session.explain(2, 1)


def test_it_keeps_the_mask_of_its_time():
    session = VideoSession.open(CLIP[:4], drawn_video_model())
    session.mask(0, 1, MASK)
    list(session.propagate())
    found = session.explain(2, 1)
    before = found.plot().tobytes()

    session._tracker.objects[1].masklet.put(2, ~session.masklet(1).mask(2), 0.9, 1.0)

    assert found.plot().tobytes() == before
    assert session.explain(2, 1).plot().tobytes() != before


def test_it_changes_nothing(session):
    twin = copy.deepcopy(session)
    held = twin.bytes_held().device

    twin.explain(3, 1)

    assert twin.bytes_held().device - held <= twin._tracker.encoder.features.num_bytes
    for one, other in zip(twin.propagate(9), copy.deepcopy(session).propagate(9), strict=True):
        assert torch.equal(one.logits_bhw, other.logits_bhw)


def test_a_frame_tracked_backward_names_later_frames():
    session = VideoSession.open(CLIP[:6], drawn_video_model())
    session.click(5, 2, (30, 20))
    list(session.propagate(direction="backward"))

    found = session.explain(2, 2)

    assert found.direction == "backward"
    assert [memory.frame for memory in found.memories] == [5, 4, 3]


def test_the_plot_shows_the_frame_and_each_memory(session, tmp_path):
    found = session.explain(8, 1)

    picture = found.plot()

    assert picture.width > picture.height > 3 * 300  # nine pictures, four in a row
    assert found.save(tmp_path / "why.png").read_bytes() == found._repr_png_()
    copied = pickle.loads(pickle.dumps(found))
    assert copied.weight_of(1) == found.weight_of(1)
    with pytest.raises(FrameError, match="gone"):
        copied.plot()


@pytest.mark.parametrize(
    ("frame", "object_id", "error", "words"),
    [
        (1, 1, FrameError, "has a prompt on frame 1"),
        (4, 1, FrameError, "has a prompt on frame 4"),
        (0, 1, FrameError, r"was not tracked on frame 0.*2-3, 5-11"),
        (99, 1, FrameError, "99"),
        (8, 2, UnknownObjectError, "no object 2"),
    ],
)
def test_a_frame_that_attended_to_nothing_is_refused(session, frame, object_id, error, words):
    with pytest.raises(error, match=words):
        session.explain(frame, object_id)


def test_before_tracking_it_says_what_to_call():
    session = VideoSession.open(CLIP[:4], drawn_video_model())
    session.click(0, 1, (30, 20))

    with pytest.raises(FrameError, match=r"Tracked frames: none\. Call propagate\(\) first\."):
        session.explain(2, 1)


def test_an_empty_mask_has_no_cells():
    session = VideoSession.open(CLIP[:4], drawn_video_model())
    session.click(0, 1, (30, 20))
    list(session.propagate())
    session._tracker.objects[1].masklet.put(2, np.zeros((48, 72), bool), 0.0, -1.0)

    with pytest.raises(FrameError, match="mask_only"):
        session.explain(2, 1, mask_only=True)


def test_a_model_that_keeps_its_weights_to_itself_is_refused():
    session = fake_session_on(4)
    session.click(0, 1, (20, 30))
    list(session.propagate())

    with pytest.raises(SessionError, match="Sam2VideoModel"):
        session.explain(2, 1)
