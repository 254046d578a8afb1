"""References: memories of other pictures, read from every frame of a video."""

import contextlib
import copy
import pickle

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError, ImageError, NoPromptError, PromptError, SessionError
from sam2_hf.video import compiled_steps
from sam2_hf.video.references import Reference
from sam2_hf.video.session import VideoSession
from tests.drawn_video import drawn_video_model, noise_clip, own_video_model
from tests.fakes import SIDE, FakeModel, center_of, disc_logits, fake_clip, fake_session_on, picture

CLIP = noise_clip(18)
OTHER = noise_clip(3, height=60, width=40, seed=5)  # of another size
MASK, OTHER_MASK = np.zeros((48, 72), bool), np.zeros((60, 40), bool)
MASK[10:30, 20:50], OTHER_MASK[5:40, 8:30] = True, True


def drawn_session(frames=CLIP, version="2.1", **options):
    return VideoSession.open(frames, drawn_video_model(version), **options)


def logits(results):
    return {result.frame: result.logits_bhw for result in results}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[frame], other[frame]) for frame in one)


def disc(x, y=30, radius=8.0):
    """The mask of a disc on a frame of a fake clip."""
    low = disc_logits(torch.tensor([[float(x), float(y), radius]]))
    return (low.repeat_interleave(4, 2).repeat_interleave(4, 3) > 0)[0, 0].numpy()


@pytest.mark.parametrize("full", [False, True])
def test_a_reference_is_remembered_as_a_mask_prompt_on_that_picture(full):
    prompted = drawn_session(mask_prompts_at_full_resolution=full)
    known = drawn_session(mask_prompts_at_full_resolution=full)
    prompted.mask(4, 1, MASK)
    known.reference(CLIP[4], MASK, 1)

    list(prompted.propagate(limit=1))

    memory = prompted._tracker.objects[1].bank.prompted[4]
    (reference,) = known._tracker.objects[1].bank.references
    for name in ("spatial_bx", "pointer_bd", "score_b1"):
        assert torch.equal(getattr(memory, name), getattr(reference, name))


def test_where_pointers_have_no_time_it_tracks_as_if_the_picture_came_first():
    prompted = drawn_session(CLIP, "2.0")
    known = drawn_session(CLIP[1:], "2.0")
    prompted.mask(0, 1, MASK)
    known.reference(CLIP[0], MASK, 1)

    expected = {frame - 1: found for frame, found in logits(prompted.propagate()).items() if frame}

    assert_same(logits(known.propagate()), expected)


def test_its_pointer_is_as_old_as_the_oldest_in_training():
    prompted, known = drawn_session(), drawn_session()
    prompted.mask(0, 1, MASK)
    known.reference(CLIP[0], MASK, 1)

    assert_same(logits(known.propagate(15, 1)), logits(prompted.propagate(15, 1)))


def test_an_object_is_found_from_another_video():
    session = fake_session_on(8)
    session.reference(fake_clip(5), {3: disc(20), 4: disc(21)}, 1)

    found = {result.frame: center_of(result.masks[1]) for result in session.propagate()}

    assert found == {frame: center_of(disc(20 - 3 + frame)) for frame in range(8)}


@pytest.mark.parametrize(
    ("direction", "visited"),
    [("forward", [0, 1, 2, 3]), ("backward", [3, 2, 1, 0]), ("both", [0, 1, 2, 3])],
)
def test_without_a_prompt_a_run_begins_at_an_end_of_the_video(direction, visited):
    session = fake_session_on(4)
    session.reference(picture(0), disc(20), 1)

    assert [result.frame for result in session.propagate(direction=direction)] == visited


def test_beside_a_prompted_object_a_run_begins_at_the_prompt():
    session = fake_session_on(6)
    session.reference(picture(0), disc(20), 1)
    session.click(3, 2, (30, 30))

    found = {result.frame: result.object_ids for result in session.propagate(direction="both")}

    assert list(found) == [3, 4, 5, 2, 1, 0]
    assert set(found.values()) == {(1, 2)}


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_every_frame_reads_it_beyond_the_limit_of_prompted_frames(direction):
    session = fake_session_on(30, max_cond_frames_in_attn=2)
    for frame in (0, 1, 28, 29):
        session.click(frame, 1, (20, 30))
    session.reference(picture(0), disc(20), 1)

    for result in session.propagate(14, 3, direction):
        read = round(result.iou[1] * 100)  # spatial memories
        tracked = abs(result.frame - 14)
        assert read == 2 + 1 + tracked


def test_objects_with_different_numbers_of_references_are_tracked_as_each_alone():
    counts = {1: 0, 2: 1, 3: 3}

    def opened(*object_ids):
        session = drawn_session()
        for object_id in object_ids:
            if object_id == 1:
                session.click(0, object_id, (30, 20))
            for number in range(counts[object_id]):
                session.reference(OTHER[number], OTHER_MASK, object_id)
        return session

    together = list(opened(*counts).propagate(limit=4))
    for row, object_id in enumerate(counts):
        for result, alone in zip(together, opened(object_id).propagate(limit=4), strict=True):
            expected = alone.logits_bhw[0]
            torch.testing.assert_close(result.logits_bhw[row], expected, rtol=1e-3, atol=1e-3)


def test_a_correction_of_a_frame_tracked_from_it_reads_it_too():
    session = fake_session_on(4)
    session.reference(picture(0), disc(20), 1)
    list(session.propagate())

    session.click(2, 1, (40, 30))

    assert session.preview(2).iou[1] == pytest.approx(3 / 100)


def test_a_stream_tracks_it_from_the_first_frame_with_bounded_memory():
    session = fake_session_on(None)
    session.reference(picture(0), disc(20), 1)
    held = []
    for number in range(80):
        result = session.step(picture(number))
        assert round(100 * result.iou[1]) == 1 + min(number, 6)  # spatial memories
        held.append(session.bytes_held())

    assert held[-1].device == held[-40].device
    assert held[-1].ram == pytest.approx(held[-40].ram, rel=0.05)


def test_a_stream_cannot_go_backward_from_an_unknown_end():
    session = fake_session_on(4)
    session.reference(picture(0), disc(20), 1)
    of_iterator = VideoSession.open(iter(fake_clip(4)), FakeModel())
    of_iterator.reference(picture(0), disc(20), 1)

    with pytest.raises(SessionError, match=r"last frame is not known.*start="):
        of_iterator.propagate(direction="backward")


@pytest.mark.parametrize(
    "again",
    [
        lambda session, folder: saved(session, folder),
        lambda session, folder: copy.deepcopy(session),
        lambda session, folder: unpickled(session),
    ],
    ids=["save", "deepcopy", "pickle"],
)
def test_another_session_goes_on_with_equal_bits(again, tmp_path):
    session = drawn_session()
    session.reference(OTHER, {0: OTHER_MASK, 2: OTHER_MASK}, 1)
    session.click(3, 2, (30, 20))
    list(session.propagate(limit=3))

    twin = again(session, tmp_path / "saved")

    assert_same(logits(twin.propagate(6, 4)), logits(session.propagate(6, 4)))
    assert len(twin._tracker.objects[1].bank.references) == 2


def saved(session, folder):
    session.save(folder)
    return VideoSession.load(folder, CLIP, session.model)


def unpickled(session):
    twin = pickle.loads(pickle.dumps(session))
    twin.use_model(session.model)
    return twin


def test_undo_and_remove_forget_it():
    session = fake_session_on(4)
    session.click(0, 1, (20, 30))
    session.reference(picture(0), disc(20), 1)
    session.reference(picture(0), disc(20), 2)
    session.remove(1)
    assert session.undo()
    assert session.object_ids == (1, 2)
    assert len(session._tracker.objects[1].bank.references) == 1

    assert session.undo()
    assert session.object_ids == (1,)
    assert session.undo()
    assert not session._tracker.objects[1].bank.references
    assert session.undo()
    assert not session.object_ids
    with pytest.raises(NoPromptError):
        session.propagate()


def test_steps_of_fixed_shapes_read_references(monkeypatch):
    monkeypatch.setattr(compiled_steps, "Compiled", lambda function: function)  # not compiled here
    found = []
    for compiled in (False, True):
        session = drawn_session(compile=compiled)
        for number in range(3):
            session.reference(OTHER[number], OTHER_MASK, 1)
        session.reference(OTHER[0], OTHER_MASK, 2)
        found.append(logits(session.propagate(limit=5)))

    for frame, expected in found[0].items():
        torch.testing.assert_close(found[1][frame], expected, rtol=1e-2, atol=1e-2)


def test_the_frames_of_another_session_stay_open_and_give_the_same_memories():
    other = drawn_session(OTHER)
    session, expected = drawn_session(), drawn_session()

    session.reference(other.frames, {0: OTHER_MASK, 2: OTHER_MASK}, 1)
    expected.reference(OTHER, {0: OTHER_MASK, 2: OTHER_MASK}, 1)

    assert_same(logits(session.propagate(limit=2)), logits(expected.propagate(limit=2)))
    other.mask(0, 1, OTHER_MASK)
    assert len(list(other.propagate())) == len(OTHER)


def test_a_session_can_refer_to_its_own_frames():
    session = drawn_session()
    session.reference(session.frames, {2: MASK}, 1)

    assert len(list(session.propagate())) == len(CLIP)


def test_frames_of_another_input_size_are_resized_again():
    other, expected = drawn_session(OTHER, approximate=True, image_size=32), drawn_session()
    session = drawn_session()

    session.reference(other.frames, {1: OTHER_MASK}, 1)
    expected.reference(OTHER[1], OTHER_MASK, 1)

    assert_same(logits(session.propagate(limit=2)), logits(expected.propagate(limit=2)))


def test_a_stream_that_is_referred_to_keeps_its_input_size():
    stream = drawn_session(None, approximate=True, image_size=32)
    stream.reference(OTHER[0], OTHER_MASK, 1)
    stream.step(OTHER[0])

    drawn_session().reference(stream.frames, {0: OTHER_MASK}, 1)

    assert stream.frames.pixels.image_size == 32
    assert stream.step(OTHER[1]).frame == 1


@pytest.mark.parametrize("video", [OTHER, list(OTHER), iter(OTHER)], ids=["array", "list", "iter"])
def test_one_mask_of_a_video_is_refused_without_its_frame(video):
    session = drawn_session()

    with pytest.raises((PromptError, ImageError), match="object 1 in its reference"):
        session.reference(video, OTHER_MASK, 1)
    session.reference(OTHER[:1], OTHER_MASK, 1)  # a video of one frame


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((OTHER[0], MASK, 1), PromptError, r"object 1.* 48 x 72, the picture is 60 x 40"),
        ((OTHER[0], OTHER_MASK & False, 1), PromptError, "empty"),
        ((OTHER[0], [OTHER_MASK, OTHER_MASK], 1), PromptError, "one map"),
        ((OTHER, {3: OTHER_MASK}, 1), FrameError, "frame 3 is out of range"),
        ((OTHER, {}, 1), PromptError, "no mask"),
        ((OTHER, OTHER_MASK, 1), PromptError, r"is a video \(3 frames\).*\{frame: mask\}"),
        (("missing.png", MASK, 1), ImageError, r"missing\.png"),
        ((OTHER[0], OTHER_MASK, "cat"), PromptError, "object_id"),
    ],
)
def test_what_cannot_be_used_is_refused_and_changes_nothing(arguments, error, words):
    session = drawn_session()

    with pytest.raises(error, match=words):
        session.reference(*arguments)

    assert not session.object_ids
    assert not session.undo()


def test_a_model_without_memory_is_refused():
    model = own_video_model()
    model.num_maskmem = 0

    with pytest.raises(SessionError, match="num_maskmem"):
        VideoSession.open(CLIP, model).reference(OTHER[0], OTHER_MASK, 1)


def test_a_reference_of_the_pipeline_checks_its_id():
    with pytest.raises(PromptError, match="object_id"):
        Reference(OTHER[0], OTHER_MASK, object_id="cat")


def changed(rng, session):
    """Call a method that changes what objects are known by."""
    frame, object_id, x = int(rng.integers(8)), int(rng.integers(1, 4)), int(rng.integers(10, 40))
    verb = rng.choice(["reference", "click", "clear", "remove", "undo"])
    if verb == "reference":
        session.reference(picture(frame), disc(x), object_id)
    elif verb == "click":
        session.click(frame, object_id, (x, 30))
    elif verb == "undo":
        session.undo()
    elif object_id in session.object_ids:
        session.remove(object_id) if verb == "remove" else session.clear(frame, object_id)


def carried_on(rng, session, folder):
    """Track some frames, or go on in a loaded session or a copy."""
    verb = rng.choice(["run", "run", "load", "copy"])
    if verb == "load":
        session.save(folder)
        return type(session).load(folder, fake_clip(8), session.model)
    if verb == "copy":
        return copy.deepcopy(session)
    direction = str(rng.choice(["forward", "backward", "both"]))
    with contextlib.suppress(NoPromptError):  # an object whose prompts were cleared, or none
        list(session.propagate(limit=3, direction=direction))
    return session


@pytest.mark.parametrize("seed", range(20))
def test_methods_in_any_order_leave_a_session_that_goes_on(seed, tmp_path, fingerprinted):
    rng = np.random.default_rng(seed)
    session = fake_session_on(8, model=fingerprinted)
    session.reference(picture(0), disc(20), 1)
    for _ in range(6):
        changed(rng, session)
        session = carried_on(rng, session, tmp_path)
    session.reference(picture(0), disc(20), 1)
    session.save(tmp_path)

    loaded = type(session).load(tmp_path, fake_clip(8), session.model)
    only = {"objects": [1]}

    assert_same(logits(loaded.propagate(0, **only)), logits(session.propagate(0, **only)))


@pytest.fixture
def fingerprinted():
    """A fake model that can be saved with: it has no weights, so it says what it is."""
    model = FakeModel()
    model.fingerprint = "0" * 64
    model.mask_input_size, model.memory_shape, model.hidden_dim = (SIDE // 4,) * 2, (3, 1, 1), 4
    return model


def test_a_closed_session_takes_none():
    session = fake_session_on(2)
    session.close()

    with pytest.raises(SessionError, match="closed"):
        session.reference(picture(0), disc(20), 1)
