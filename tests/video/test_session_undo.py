"""Undo, verb by verb: afterwards the session is as if the verb had never been."""

import numpy as np
import pytest
import torch

from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import fake_session_on

GIVEN = np.eye(48, 72) > 0


def drawn_session():
    """A session of a real small model, where every answer depends on all that was read."""
    return Sam2VideoInferenceSession.open(noise_clip(6), drawn_video_model())


def logits(session, **arguments):
    return {result.frame: result.logits_bhw for result in session.propagate(**arguments)}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[frame], other[frame]) for frame in one)


VERBS = {
    "click": lambda session: session.click(0, 1, (50, 30)),
    "box": lambda session: session.box(0, 1, (10, 10, 30, 30)),
    "mask": lambda session: session.mask(0, 1, GIVEN),
    "click elsewhere": lambda session: session.click(4, 1, (50, 30)),
    "new object": lambda session: session.click(2, 7, (50, 30)),
    "clear": lambda session: session.clear(0, 1),
    "clear elsewhere": lambda session: session.clear(5, 1),
    "remove": lambda session: session.remove(1),
    "reference": lambda session: session.reference(noise_clip(1, seed=9)[0], GIVEN, 1),
    "reference of a new object": lambda session: session.reference(noise_clip(1)[0], GIVEN, 7),
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_undone_verb_has_never_been(verb):
    session, untouched = drawn_session(), drawn_session()
    for each in (session, untouched):
        each.click(0, 1, (20, 20))
        each.click(5, 1, (30, 20))

    VERBS[verb](session)
    assert session.undo()

    assert session.object_ids == (1,)
    assert_same(logits(session), logits(untouched))


@pytest.mark.parametrize("verb", VERBS)
def test_it_has_never_been_even_if_somebody_looked_at_it(verb):
    session, untouched = drawn_session(), drawn_session()
    for each in (session, untouched):
        each.click(0, 1, (20, 20))
        each.click(5, 1, (30, 20))

    VERBS[verb](session)
    for frame in (0, 2, 4, 5):
        session.preview(frame)
    session.undo()

    assert_same(logits(session), logits(untouched))


UNDONE_LATE = [
    *(verb for verb in VERBS if verb not in ("clear", "clear elsewhere")),
    "clear",
]


@pytest.mark.parametrize("verb", UNDONE_LATE)
def test_a_verb_after_tracking_can_be_undone_too(verb):
    session, untouched = drawn_session(), drawn_session()
    for each in (session, untouched):
        each.click(0, 1, (20, 20))
        logits(each)

    VERBS[verb](session)
    session.undo()

    assert_same(logits(session), logits(untouched))


@pytest.mark.parametrize("verb", ["click", "box", "mask", "click elsewhere", "new object"])
def test_a_verb_whose_outcome_was_tracked_can_be_undone_too(verb):
    session, untouched = drawn_session(), drawn_session()
    for each in (session, untouched):
        each.click(0, 1, (20, 20))
        logits(each)

    VERBS[verb](session)
    logits(session)
    session.undo()

    assert_same(logits(session), logits(untouched))


def test_the_second_of_two_corrections_can_be_undone_after_they_were_tracked():
    """The first is answered anew, from what is tracked around it by now."""
    session = drawn_session()
    session.click(0, 1, (20, 20))
    logits(session)
    session.click(4, 1, (50, 30))
    session.click(4, 1, (5, 5))
    both = logits(session)[4]

    session.undo()

    assert [click.xy for click in session.prompts_of(4, 1).clicks] == [(50, 30)]
    assert not torch.equal(logits(session)[4], both)


def test_clearing_where_there_is_no_prompt_is_nothing_to_undo(fake_session):
    fake_session.click(0, 1, (20, 20))

    fake_session.clear(5, 1)
    fake_session.undo()

    assert fake_session.object_ids == ()


def test_every_verb_can_be_undone_one_after_the_other(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 1, (50, 50))
    fake_session.box(3, 2, (10, 10, 30, 30))
    fake_session.remove(1)

    undone = [(fake_session.undo(), fake_session.object_ids) for _ in range(5)]

    assert [(done, sorted(ids)) for done, ids in undone] == [
        (True, [1, 2]),
        (True, [1]),
        (True, [1]),
        (True, []),
        (False, []),
    ]


def test_a_removed_object_takes_its_old_place_again(fake_session):
    for number in (1, 2, 3):
        fake_session.click(0, number, (20, 10 * number))

    fake_session.remove(1)
    fake_session.undo()

    assert fake_session.object_ids == (1, 2, 3)


def test_a_removed_object_comes_back_with_its_masks(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 2, (20, 40))
    list(fake_session.propagate())
    masks = [fake_session.masklet(1).rle(frame) for frame in range(8)]

    fake_session.remove(1)
    fake_session.undo()

    assert [fake_session.masklet(1).rle(frame) for frame in range(8)] == masks


def test_removing_is_not_undone_once_somebody_else_has_the_number(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.remove(1)
    fake_session.click(0, 1, (40, 40))

    assert fake_session.undo()

    assert fake_session.object_ids == ()
    assert not fake_session.undo()


def test_the_object_of_an_undone_first_click_leaves_nothing():
    session = fake_session_on(8)
    session.click(0, 1, (20, 20))
    list(session.propagate())

    session.undo()

    assert session.bytes_held().ram == 0


def test_a_verb_that_was_refused_is_nothing_to_undo(fake_session):
    with pytest.raises(Exception, match="outside"):
        fake_session.click(0, 1, (500, 500))

    assert not fake_session.undo()
    assert fake_session.object_ids == ()


def test_a_removed_object_is_let_go_once_its_removal_cannot_be_undone(monkeypatch):
    monkeypatch.setattr("sam2_hf.video.object_registry.DEPTH", 10)
    session = fake_session_on(8)
    held = []
    for number in range(30):
        session.click(0, number, (20, 20))
        list(session.propagate(limit=2))
        session.remove(number)
        held.append(len(session._tracker.registry.store))

    assert held[29] == held[15]
