"""Every operation of a session works under every policy, and to the bit."""

import copy

import numpy as np
import pytest
import torch

from sam2_hf.errors import SessionError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.memory_bank import FURTHER_POINTERS, NOTES
from sam2_hf.video.policies.memory_policy import LOOK_BACK, TrackingStep
from sam2_hf.video.session_options import MEMORY_POLICIES, SessionOptions
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import fake_session_on, picture
from tests.video.look_alike_model import Answer, LookAlikeModel, what_is_shown
from tests.video.policies.three_masks_model import ThreeMasksModel
from tests.video.test_eager_session import FRAMES, HEIGHT, WIDTH, Lazy, assert_same, drawn_sequence

POLICIES = [*MEMORY_POLICIES, "samurai+distractor"]
CLIP = noise_clip(12)
RUN = ("propagate", (0, None, "forward", {}))


@pytest.fixture(params=POLICIES)
def policy(request):
    return request.param


def mixing_session(policy, clip=CLIP, **options):
    session = Sam2VideoInferenceSession.open(
        clip, ThreeMasksModel(), memory_policy=policy, **options
    )
    session.click(0, 1, (20, 20))
    session.click(2, 2, (40, 30))
    return session


def logits(results):
    return [(result.logits_bhw, result.iou_b, result.score_b) for result in results]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert all(map(torch.equal, ours, theirs))


def played(calls, policy, looks, tmp_path=None):
    """What comes out of a sequence of calls; with a folder, saved and loaded in its middle."""
    clip, model = noise_clip(FRAMES, HEIGHT, WIDTH), ThreeMasksModel()
    options = {"memory_dtype": torch.float32, "memory_policy": policy}
    session = Sam2VideoInferenceSession.open(clip, model, **options)
    if tmp_path is None:
        return list(Lazy(session, looks).play(calls))
    middle = len(calls) // 2
    found = list(Lazy(session, looks).play(calls[:middle]))
    session.save(tmp_path)
    session = Sam2VideoInferenceSession.load(tmp_path, clip, ThreeMasksModel())
    return found + list(Lazy(session, looks).play(calls[middle:]))


def check(policy, seed, length):
    """Play a sequence with looks at everything after each call, and without any."""
    calls = [call for call in drawn_sequence(seed, length) if call[0] != "look"]
    always, never = (
        [one for one in played(calls, policy, looks) if one[0] != "look"]
        for looks in ("always", "never")
    )
    assert_same(always, never, (policy, seed))


@pytest.mark.parametrize("policy", ["score", "samurai", "distractor", "tree"])
def test_a_hundred_random_sequences_of_calls_raise_no_error(policy):
    for seed in range(100):
        assert played(drawn_sequence(seed, length=4), policy, "sometimes")


def test_looks_in_between_change_nothing(policy):
    for seed in range(6):
        check(policy, seed, length=8)


@pytest.mark.slow
def test_in_a_hundred_sequences_neither(policy):
    for seed in range(100):
        check(policy, seed, length=12)


def test_a_sequence_goes_on_from_a_save_as_if_nothing_had_happened(policy, tmp_path):
    for seed in range(200, 204):
        # undo is not saved
        calls = [call for call in drawn_sequence(seed) if call[0] not in ("undo", "look")] + [RUN]
        expected = played(calls, policy, "never")

        assert_same(played(calls, policy, "never", tmp_path / str(seed)), expected, (policy, seed))


@pytest.mark.parametrize("options", [{}, {"ram_budget": 0}])
def test_a_saved_session_goes_on_with_the_same_bits(policy, tmp_path, options):
    expected = logits(mixing_session(policy).propagate())
    session = mixing_session(policy, **options)
    found = logits(session.propagate(limit=9))
    session.save(tmp_path / "job")

    again = Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, ThreeMasksModel())

    assert again.options.memory_policy == policy
    assert_equal(found + logits(again.propagate(start=9)), expected)


def test_a_copy_goes_on_with_the_same_bits(policy):
    session = mixing_session(policy)
    list(session.propagate(limit=6))

    twin = copy.deepcopy(session)

    assert_equal(logits(twin.propagate(start=6)), logits(session.propagate(start=6)))


def test_a_correction_that_is_undone_leaves_no_trace(policy):
    expected, session = mixing_session(policy), mixing_session(policy)
    for one in (expected, session):
        list(one.propagate())
    session.click(5, 1, (50, 30), positive=False)
    session.preview(5)
    assert session.undo()

    for one in (expected, session):
        one.click(10, 1, (30, 30))
    assert_equal(logits(session.propagate(start=4)), logits(expected.propagate(start=4)))


def test_going_backward_and_forward_again_depends_on_the_calls_alone(policy):
    def results():
        session = mixing_session(policy)
        return [
            *logits(session.propagate(start=5, direction="both")),
            *logits(session.propagate(start=3)),
        ]

    assert_equal(results(), results())


def test_the_policy_of_an_open_session_may_be_changed(policy):
    session = mixing_session("sam2")
    list(session.propagate(limit=5))
    for name in (policy, "sam2", policy):
        session.use_options(SessionOptions(memory_policy=name))
        assert len(list(session.propagate(start=4))) == 8


def test_a_policy_that_finds_no_reason_to_differ_gives_the_originals_bits():
    """One object that is always in view, and nothing like it."""
    clear = LookAlikeModel(lambda frame, memories: Answer(0.9, 0.2), other_in_view=())
    found = {}
    for policy in POLICIES:
        with fake_session_on(20, clear, memory_policy=policy) as session:
            session.click(0, 1, (16, 32))
            found[policy] = [result.logits_bhw for result in session.propagate()]

    for policy in POLICIES:
        assert all(map(torch.equal, found[policy], found["sam2"])), policy


def gone_for_long(frame, memories):
    """The object is hidden from 20 to 90; who remembers nothing of it takes the other."""
    if 20 <= frame < 90:
        return Answer(0.2, 0.1, score=-4.0)
    remembers = frame < 20 or memories.of_object > memories.of_other
    return Answer(0.9, 0.4) if remembers else Answer(0.5, 0.8)


@pytest.mark.parametrize("policy", ["score", "samurai", "distractor", "tree", "samurai+distractor"])
def test_a_stream_keeps_what_it_needs_for_as_long_as_the_object_is_hidden(policy):
    """What is selected stays, no matter how long ago it was; all else is dropped."""
    model = LookAlikeModel(gone_for_long)
    stream = fake_session_on(None, model, memory_policy=policy, window=16)
    stream.step(picture(0))
    stream.click(0, 1, (16, 32))

    results, kept = [], []
    for frame in range(1, 150):
        results.append(stream.step(picture(frame)))
        kept.append(len(stream._tracker.objects[1].bank.tracked))

    assert [what_is_shown(result) for result in results[89:]] == ["object"] * 60
    # the window or what the policy reaches, and what is selected beyond it
    reach = stream._tracker.policy.reach
    assert max(kept) <= max(16, reach) + 16
    numbers = stream._tracker.objects[1].bank._numbers
    assert len(numbers) <= max(16, reach) + 16


@pytest.mark.parametrize("policy", ["score", "samurai", "distractor", "tree"])
def test_a_window_gives_the_masks_of_a_session_that_keeps_everything(policy):
    def shown(**options):
        with fake_session_on(120, LookAlikeModel(gone_for_long), **options) as session:
            session.click(0, 1, (16, 32))
            return [result.logits_bhw for result in session.propagate()]

    windowed = shown(memory_policy=policy, keep="window", window=16)
    assert all(map(torch.equal, windowed, shown(memory_policy=policy)))


def test_bytes_on_the_device_do_not_grow_with_the_video(policy):
    session = mixing_session(policy, noise_clip(60), keep="window", window=16)
    banks = [obj.bank for obj in session._tracker.objects.values()]
    held = []
    for _ in session.propagate():
        held.append([bank.device_bytes for bank in banks])

    record = banks[0].record(59)
    hypotheses = 3 if policy == "tree" else 1
    spatial, pointer = record["spatial"].nbytes, record["pointer"].nbytes
    most = spatial + pointer + 4 + hypotheses * hypotheses * (7 * spatial + 19 * pointer)
    assert max(map(max, held)) <= most


@pytest.mark.parametrize("policy", ["samurai", "tree"])
def test_a_real_model_makes_the_pointers_of_the_masks_that_are_kept(policy):
    """Without a choice to make there is one candidate, and nothing differs."""
    model = drawn_video_model()
    assert model.config.multimask_output_for_tracking
    session = Sam2VideoInferenceSession.open(noise_clip(20), model, memory_policy=policy)
    session.click(0, 1, (20, 20))

    results = list(session.propagate())

    record = session._tracker.objects[1].bank.record(18)
    assert f"{NOTES}{policy}" in record
    assert all(result.logits_bhw.isfinite().all() for result in results)
    assert policy != "tree" or record[FURTHER_POINTERS].shape[1] == model.hidden_dim


@pytest.mark.parametrize("policy", ["samurai", "distractor", "tree", "score+sam2"])
def test_compiled_graphs_return_one_mask_so_these_policies_are_refused(policy):
    with pytest.raises(SessionError, match=r"compile=True cannot be combined .* among three"):
        SessionOptions(memory_policy=policy, compile=True)


def test_hypotheses_of_one_object_overlap_so_memories_cannot_be_kept_apart():
    with pytest.raises(SessionError, match="whose hypotheses of one object overlap"):
        SessionOptions(memory_policy="tree", non_overlap_masks_for_mem_enc=True)


def test_a_tree_is_not_combined_with_other_policies():
    with pytest.raises(SessionError, match="Use it alone"):
        SessionOptions(memory_policy="tree+distractor")


def test_notes_of_another_width_are_found_before_a_session_is_built(tmp_path):
    session = mixing_session("samurai")
    list(session.propagate(limit=4))
    bank = session._tracker.objects[1].bank
    bank.put_back(3, bank.record(3) | {"notes.samurai": torch.zeros(5, dtype=torch.float64)})
    session.save(tmp_path / "job")

    with pytest.raises(SessionError, match=r"notes\.samurai in the memory of object 1 on frame 3"):
        Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, ThreeMasksModel())


def test_a_record_of_further_hypotheses_has_as_many_pointers_as_memories(tmp_path):
    session = mixing_session("tree", noise_clip(12))
    list(session.propagate())
    bank = session._tracker.objects[1].bank
    frame = next(f for f in bank.tracked if FURTHER_POINTERS in bank.record(f))
    pointers = bank.record(frame)[FURTHER_POINTERS]
    bank.put_back(frame, bank.record(frame) | {FURTHER_POINTERS: pointers.repeat(2, 1)})
    session.save(tmp_path / "job")

    with pytest.raises(SessionError, match="further_spatial in the memory of object 1"):
        Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, ThreeMasksModel())


def test_policies_differ_on_a_clip_of_noise():
    """Otherwise equal bits would tell nothing."""
    found = [
        torch.cat([r.logits_bhw.flatten() for r in mixing_session(p).propagate()]) for p in POLICIES
    ]
    different = {tuple(np.round(values.numpy(), 6)) for values in found}

    assert len(different) >= 4


def always_in_view(frame, read):
    return Answer(0.9, 0.5)


@pytest.mark.parametrize("policy", ["samurai", "tree"])
def test_numbers_kept_in_ram_do_not_grow_with_the_video(policy):
    """Masks and memories spill to a file; notes have to be read again from there."""
    model = LookAlikeModel(always_in_view)
    with fake_session_on(None, model, memory_policy=policy, window=1000) as stream:
        stream.step(picture(0))
        stream.click(0, 1, (16, 32))
        for frame in range(1, 620):
            stream.step(picture(frame))
        bank = stream._tracker.objects[1].bank

        assert len(bank.tracked) == 619
        assert len(bank._numbers) <= LOOK_BACK + 1
        assert len(bank._scores) <= 2 * LOOK_BACK
        assert bank.iou(5) is not None
        stream.remove(1)
        assert not bank._numbers
        assert not bank._scores


@pytest.mark.parametrize("compat", ["sam2_hf", "official"])
def test_a_correction_leaves_the_memory_of_distractors(compat):
    """With the original's options a corrected frame counts as tracked, and has no notes."""
    options = {"memory_policy": "distractor", "compat": compat}
    model = LookAlikeModel(always_in_view)
    with fake_session_on(40, model, **options) as session:
        session.click(0, 1, (16, 32))
        list(session.propagate(limit=20))
        policy, bank = session._tracker.policy, session._tracker.objects[1].bank
        before = policy.select(TrackingStep(20), bank)
        session.click(19, 1, (16, 32))
        list(session.propagate(start=18, limit=1))
        session.clear(19, 1)
        after = policy.select(TrackingStep(20), bank)

        apart = [frame for frame, age in before if age == 7 and frame]
        assert apart
        assert [frame for frame, age in after if age == 7 and frame] == apart
