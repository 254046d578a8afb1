"""The verbs, one by one and one after the other."""

import copy
import pickle

import numpy as np
import pytest
import torch

from sam2_hf.errors import UnknownObjectError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.review import ReviewRules
from sam2_hf.video.session import VideoSession
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import FakeModel, center_of, fake_clip, fake_session_on

SAME_SUMS = 1e-4  # logits are of order 3 and pass a hundred sums, each right to seven digits


def drawn_session(**options):
    """A session of a real small model, where every answer depends on all that was read."""
    return Sam2VideoInferenceSession.open(noise_clip(), drawn_video_model(), **options)


def paths(results):
    """Where each object was on each frame."""
    return [
        (result.frame, {number: center_of(mask) for number, mask in result.masks.items()})
        for result in results
    ]


def logits(session, **arguments):
    return {result.frame: result.logits_bhw for result in session.propagate(**arguments)}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[frame], other[frame]) for frame in one)


def test_a_click_is_followed_through_the_video(fake_session):
    fake_session.click(0, 1, (20, 20))

    found = paths(fake_session.propagate())

    assert found == [(frame, {1: (20 + frame, 20)}) for frame in range(8)]


def test_objects_are_prompted_on_frames_of_their_own_in_any_way(fake_session):
    given = np.zeros((64, 64), bool)
    given[36:44, 28:36] = True
    fake_session.click(0, 5, (20, 20))
    fake_session.box(2, -7, (12, 10, 32, 50))
    fake_session.mask(4, 0, given)

    found = dict(paths(fake_session.propagate()))

    assert fake_session.object_ids == (5, -7, 0)
    assert found[6] == {5: (26, 20), -7: (26, 30), 0: (34, 40)}


def test_objects_follow_themselves_back_in_time_from_a_later_prompt(fake_session):
    fake_session.click(6, 1, (30, 20))

    assert paths(fake_session.propagate(direction="backward"))[-1] == (0, {1: (24, 20)})


def test_both_directions_cover_the_video_from_any_prompt(fake_session):
    fake_session.click(3, 1, (30, 20))

    found = paths(fake_session.propagate(direction="both"))

    assert [frame for frame, _ in found] == [3, 4, 5, 6, 7, 2, 1, 0]
    assert all(place == {1: (27 + frame, 20)} for frame, place in found)
    assert fake_session.masklet(1).frames == list(range(8))


def test_propagation_begins_where_it_is_told_to(fake_session):
    fake_session.click(0, 1, (20, 20))

    assert [frame for frame, _ in paths(fake_session.propagate(start=3, limit=2))] == [3, 4]


def test_a_new_object_joins_in_the_middle(fake_session):
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate(limit=4))

    fake_session.click(4, 2, (30, 40))
    found = dict(paths(fake_session.propagate(start=4)))

    assert found[4] == {1: (24, 20), 2: (30, 40)}
    assert found[7] == {1: (27, 20), 2: (33, 40)}
    assert fake_session.masklet(2).frames == [4, 5, 6, 7]


@pytest.mark.parametrize("again", [1, 3])
def test_a_correction_sticks(fake_session, again):
    """The original loses it by default: sam2_video_predictor.py:215."""
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())

    fake_session.click(4, 1, (30, 40))
    for _ in range(again):
        found = dict(paths(fake_session.propagate()))

    assert found[4][1][1] > 30
    assert found[7][1][1] > 30
    assert fake_session._tracker.objects[1].bank.prompted.keys() == {0, 4}


def test_a_correction_is_overwritten_under_the_originals_defaults():
    session = fake_session_on(8, compat="official")
    session.click(0, 1, (20, 20))
    list(session.propagate())

    session.click(4, 1, (30, 40))
    found = dict(paths(session.propagate()))

    assert found[4] == {1: (24, 20)}


def test_a_click_on_the_first_frame_changes_it_also_after_propagation(fake_session):
    """In the original it changes nothing that is stored: sam2_video_predictor.py:215."""
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())

    fake_session.click(0, 1, (20, 40))
    found = dict(paths(fake_session.propagate()))

    assert found[0][1][1] > 25
    assert found[5][1][1] > 25


def test_removing_an_object_leaves_the_others_bit_by_bit():
    both, alone = drawn_session(), drawn_session()
    for session in (both, alone):
        session.click(0, 1, (20, 20))
        session.click(2, 2, (50, 30))
        list(session.propagate())

    both.remove(1)

    assert both.object_ids == (2,)
    kept, expected = both.masklet(2), alone.masklet(2)
    assert [kept.rle(frame) for frame in kept.frames] == [
        expected.rle(frame) for frame in expected.frames
    ]


def test_an_object_removed_in_the_middle_leaves_the_others_going():
    both, alone = drawn_session(), drawn_session()
    both.click(0, 1, (20, 20))
    for session in (both, alone):
        session.click(0, 2, (50, 30))
        list(session.propagate(limit=4))

    both.remove(1)

    found, expected = (logits(session, start=4) for session in (both, alone))
    for frame in expected:
        assert (found[frame] - expected[frame]).abs().max() <= SAME_SUMS


def test_objects_may_be_removed_while_propagating(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 2, (20, 40))

    ids = []
    for result in fake_session.propagate():
        ids.append(result.object_ids)
        if result.frame == 3:
            fake_session.remove(1)

    assert ids == [(1, 2)] * 4 + [(2,)] * 4


def test_a_removed_object_is_unknown(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.remove(1)

    with pytest.raises(UnknownObjectError, match=r"no object 1 .* Objects: none"):
        fake_session.masklet(1)


def test_cleared_prompts_are_gone_and_what_was_tracked_stays(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(4, 1, (30, 40))
    list(fake_session.propagate())

    fake_session.clear(4, 1)

    assert fake_session.masklet(1).frames == list(range(8))
    assert fake_session.preview(4).prompted == frozenset()
    assert dict(paths(fake_session.propagate()))[5] == {1: (25, 20)}


def test_clearing_takes_back_clicks_that_nobody_has_looked_at(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 1, (50, 50))
    fake_session.preview(0)

    fake_session.clear(0, 1)
    fake_session.click(0, 1, (30, 30))

    assert paths(fake_session.propagate(limit=1)) == [(0, {1: (30, 30)})]


def test_clearing_a_frame_without_prompts_changes_nothing(fake_session):
    fake_session.click(0, 1, (20, 20))

    fake_session.clear(5, 1)

    assert paths(fake_session.propagate(limit=1)) == [(0, {1: (20, 20)})]


def test_a_reset_session_is_as_new_and_keeps_its_frames():
    session, new = drawn_session(), drawn_session()
    session.click(0, 1, (20, 20))
    list(session.propagate())

    session.reset()

    assert session.object_ids == ()
    assert session.bytes_held().ram == session.bytes_held().disk == 0
    assert not session.undo()
    for each in (session, new):
        each.click(3, 1, (50, 30))
    assert_same(logits(session), logits(new))


def test_a_masklet_holds_what_was_handed_out(fake_session):
    fake_session.click(0, 1, (20, 20))

    results = list(fake_session.propagate())

    masklet = fake_session.masklet(1)
    for result in results:
        assert np.array_equal(masklet.mask(result.frame), result.masks[1])
        assert masklet.object_score(result.frame) == result.object_score[1]
        assert masklet.iou(result.frame) == pytest.approx(result.iou[1])


def test_a_masklet_shows_what_was_tracked_last(fake_session):
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())
    fake_session.click(0, 1, (20, 60))

    list(fake_session.propagate(limit=3))

    rows = [center_of(fake_session.masklet(1).mask(frame))[1] for frame in (1, 2, 3)]
    assert rows[0] == rows[1] > 30
    assert rows[2] == 20


def test_doubtful_frames_are_listed():
    session = fake_session_on(16, FakeModel(gone_on=(4, 5)))
    session.click(0, 1, (20, 20))
    session.click(0, 2, (20, 40))
    list(session.propagate())

    found = session.frames_to_review(ReviewRules(min_iou=0.0))

    assert {one.object_id for one in found} == {1, 2}
    assert {one.frame for one in found} & {4, 5}
    assert 0 not in {one.frame for one in found}  # a person has been there


def test_the_models_attributes_stay_as_they_are():
    model = drawn_video_model()
    before = dict(vars(model))

    session = drawn_session()
    session.click(0, 1, (20, 20))
    list(session.propagate())

    assert vars(model) == before


def test_two_sessions_of_one_model_do_not_disturb_each_other():
    first, second, alone = drawn_session(), drawn_session(), drawn_session()
    first.click(0, 1, (20, 20))
    second.click(1, 1, (50, 30))
    alone.click(0, 1, (20, 20))

    pairs = zip(first.propagate(), second.propagate(), strict=False)
    found = {one.frame: one.logits_bhw for one, _ in pairs}

    expected = logits(alone)
    assert all(torch.equal(found[frame], expected[frame]) for frame in found)


@pytest.mark.parametrize(("skip", "frames"), [(False, [0]), (True, [])])
def test_backward_from_frame_0_that_frame_is_shown_or_skipped(skip, frames):
    session = fake_session_on(8, skip_backward_from_first=skip)
    session.click(0, 1, (20, 20))

    found = session.propagate(direction="backward")

    assert [result.frame for result in found] == frames


def native_session(num_frames=8):
    return VideoSession.open(fake_clip(num_frames), FakeModel())


def test_a_session_is_complete_without_the_names_of_transformers(tmp_path):
    native = VideoSession.open(noise_clip(), drawn_video_model())
    with_names = drawn_session()
    for session in (native, with_names):
        session.click(0, 1, (30, 20))
        session.box(2, 2, (10, 10, 40, 30))

    for own, other in zip(native.propagate(), with_names.propagate(), strict=True):
        assert torch.equal(own.logits_bhw, other.logits_bhw)
    native.save(tmp_path)

    assert isinstance(VideoSession.load(tmp_path, noise_clip(), drawn_video_model()), VideoSession)
    assert not hasattr(native, "output_dict_per_obj")


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copied_session_goes_on_by_itself(copied):
    session = VideoSession.open(noise_clip(6), drawn_video_model())
    session.click(0, 1, (30, 20))
    list(session.propagate())

    twin = copied(session)
    twin.use_model(drawn_video_model())
    twin.click(3, 1, (20, 20))
    assert (twin.undo(), twin.undo(), twin.undo()) == (True, True, False)

    assert (twin.object_ids, session.object_ids) == ((), (1,))


def test_prompts_can_be_read_back_and_given_all_at_once():
    session = native_session()
    session.click(2, 1, (20, 30), positive=False)

    session.put_prompts(4, 7, session.prompts_of(2, 1))

    (click,) = session.prompts_of(4, 7).clicks
    assert (click.xy, click.positive) == ((20, 30), False)
    assert session.prompts_of(5, 7).clicks == ()
