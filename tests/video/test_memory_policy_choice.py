"""Another policy than the original's: one class and a name, and all of a session follows it."""

import numpy as np
import pytest
import torch

from sam2_hf.errors import SessionError
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.training.objective import ClipMemories
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.policies.memory_policy import MemoryRules, TrackingStep
from sam2_hf.video.session_options import MEMORY_POLICIES, SessionOptions
from sam2_hf.video.storage.saved_document import read_options
from sam2_hf.video.tracking import gather_memories
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import FakeModel, fake_session_on, picture
from tests.video.in_view_policy import InViewPolicy

OUT_OF_VIEW = range(6, 17)
CLIP = noise_clip(14)


@pytest.fixture(autouse=True)
def in_view(monkeypatch):
    monkeypatch.setitem(MEMORY_POLICIES, "in_view", InViewPolicy)


@pytest.fixture
def strict(monkeypatch):
    """Let about half of the frames of a drawn model count as out of view."""
    scores = [result.object_score[1] for result in drawn_session().propagate()]
    monkeypatch.setattr(InViewPolicy, "least_score", float(np.median(scores)))


def drawn_session(clip=CLIP, **options):
    session = Sam2VideoInferenceSession.open(clip, drawn_video_model(), **options)
    session.click(0, 1, (20, 20))
    session.click(2, 2, (40, 30))
    return session


def logits(results):
    return [result.logits_bhw for result in results]


def assert_same(found, expected):
    assert len(found) == len(expected)
    assert all(map(torch.equal, found, expected))


def spatial_memories_read(result):
    """The fake model's predicted IoU counts them."""
    return round(100 * result.iou[1])


def test_frames_out_of_view_are_skipped_and_those_before_them_read():
    read = {}
    for policy in ("sam2", "in_view"):
        session = fake_session_on(24, FakeModel(gone_on=OUT_OF_VIEW), memory_policy=policy)
        session.click(0, 1, (15, 10))
        list(session.propagate(limit=18))
        read[policy] = sorted(session._tracker.objects[1].bank._spatial)

    assert read == {"sam2": [12, 13, 14, 15, 16, 17], "in_view": [1, 2, 3, 4, 5, 17]}


def test_ages_go_with_the_frames():
    bank = ClipMemories()
    for frame, score in enumerate((1.0, 2.0, -3.0, 1.0, -1.0, 0.5)):
        memory = FrameMemory(
            frame,
            torch.full((1, 1, 1, 1), frame),
            torch.full((1, 1), frame),
            torch.tensor([[score]]),
        )
        bank.remember(memory, prompted=frame == 0)

    found = gather_memories(bank, TrackingStep(6), InViewPolicy(MemoryRules()))

    assert [memory.item() for memory in found.spatial] == [0, 5, 3, 1]
    assert found.ages == (7, 1, 2, 3)
    assert found.pointers_bpd[0, :, 0].tolist() == [0, 5, 3, 1]
    assert (found.times_bp[0] * 15).tolist() == pytest.approx([6, 1, 3, 5])


def test_fewer_memories_than_usual_are_read_where_few_are_in_view():
    session = fake_session_on(12, FakeModel(gone_on=range(1, 12)), memory_policy="in_view")
    session.click(0, 1, (15, 10))

    assert {spatial_memories_read(one) for one in list(session.propagate())[1:]} == {1}
    assert session._tracker.objects[1].bank._spatial == {}


def test_a_stream_follows_the_policy_too():
    model = FakeModel(gone_on=OUT_OF_VIEW)
    stream = fake_session_on(None, model, memory_policy="in_view", window=16)
    stream.step(picture(0))
    stream.click(0, 1, (15, 10))

    results = [stream.step(picture(frame)) for frame in range(1, 26)]

    assert spatial_memories_read(results[17]) == 7  # frames 1 to 5 are older than the window
    assert min(stream._tracker.objects[1].bank.tracked) == 2  # within reach, 24 frames back


@pytest.mark.usefixtures("strict")
def test_a_window_as_long_as_the_policy_reaches_changes_nothing():
    clip = noise_clip(30)
    expected = logits(drawn_session(clip, memory_policy="in_view").propagate())

    found = drawn_session(clip, memory_policy="in_view", keep="window", window=16).propagate()

    assert_same(logits(found), expected)
    plain = logits(drawn_session(clip).propagate())
    assert not all(map(torch.equal, plain, expected))


@pytest.mark.usefixtures("strict")
def test_a_saved_session_goes_on_with_the_same_bits(tmp_path):
    expected = logits(drawn_session(memory_policy="in_view").propagate())
    session = drawn_session(memory_policy="in_view", ram_budget=0)
    found = logits(session.propagate(limit=9))
    session.save(tmp_path / "job")

    again = Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, drawn_video_model())

    assert again.options.memory_policy == "in_view"
    assert_same(found + logits(again.propagate(start=9)), expected)


@pytest.mark.usefixtures("strict")
def test_a_correction_that_is_undone_leaves_no_trace():
    expected = drawn_session(memory_policy="in_view")
    session = drawn_session(memory_policy="in_view")
    for one in (expected, session):
        list(one.propagate())
    session.click(5, 1, (50, 30), positive=False)
    assert session.undo()

    for one in (expected, session):
        one.click(12, 1, (30, 30))
    assert_same(logits(session.propagate(start=12)), logits(expected.propagate(start=12)))


@pytest.mark.usefixtures("strict")
def test_tensors_of_fixed_shape_hold_what_the_policy_chooses(monkeypatch):
    monkeypatch.setattr("sam2_hf.video.compiled_steps.Compiled", lambda step: step)
    plain = logits(drawn_session(memory_policy="in_view").propagate())

    found = logits(drawn_session(memory_policy="in_view", compile=True).propagate())

    for expected, one in zip(plain, found, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-3)


def test_an_unknown_policy_is_refused_with_those_there_are():
    known = ", ".join(MEMORY_POLICIES)
    with pytest.raises(SessionError, match=f"memory_policy is 'trees'. Choose one of {known}"):
        SessionOptions(memory_policy="trees")


def test_a_session_saved_under_a_policy_that_is_gone_says_so(tmp_path, monkeypatch):
    drawn_session(memory_policy="in_view").save(tmp_path / "job")
    monkeypatch.delitem(MEMORY_POLICIES, "in_view")

    with pytest.raises(SessionError, match=r"memory_policy is 'in_view'\. Choose one of sam2"):
        Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, drawn_video_model())


def test_options_that_were_saved_before_there_were_policies_are_those_of_sam2():
    assert read_options({"window": 20}).memory_policy == "sam2"
