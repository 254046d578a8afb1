"""Tracking and previewing some of a session's objects."""

from functools import partial

import numpy as np
import pytest

from sam2_hf import NoPromptError, PromptError, UnknownObjectError
from tests.fakes import fake_session_on


@pytest.fixture
def session():
    """Two objects with a click each, on frame 0."""
    session = fake_session_on(8)
    session.click(0, 1, (10, 10))
    session.click(0, 2, (30, 30))
    return session


def test_only_the_chosen_objects_are_tracked(session):
    results = list(session.propagate(objects=[2], limit=4))

    assert [result.object_ids for result in results] == [(2,)] * 4
    assert session.masklet(1).frames == []
    assert session.masklet(2).frames == [0, 1, 2, 3]


def test_an_object_that_pauses_goes_on_from_what_it_remembers(session):
    list(session.propagate(limit=3))
    list(session.propagate(3, limit=2, objects=[2]))
    (result,) = session.propagate(5, limit=1)

    alone = fake_session_on(8)
    alone.click(0, 1, (10, 10))
    (expected,) = list(alone.propagate(limit=6))[5:]
    np.testing.assert_array_equal(result.masks[1], expected.masks[1])
    assert session.masklet(1).frames == [0, 1, 2, 5]


def test_all_objects_are_tracked_by_default_and_equal_those_tracked_alone(session):
    together = [result.masks[2] for result in session.propagate()]

    alone = fake_session_on(8)
    alone.click(0, 2, (30, 30))
    for mask, result in zip(together, alone.propagate(), strict=True):
        np.testing.assert_array_equal(mask, result.masks[2])


def test_a_preview_shows_the_chosen_objects(session):
    assert session.preview(0, objects=[2]).object_ids == (2,)
    assert session.preview(0, objects=[]).object_ids == ()
    assert session.preview(0).object_ids == (1, 2)


@pytest.mark.parametrize("objects", [5, "12", [None], [1.5], [[1]], object()])
def test_what_is_no_list_of_ids_is_refused(session, objects):
    for verb in (session.propagate, partial(session.preview, 0)):
        with pytest.raises(PromptError):
            verb(objects=objects)


def test_unknown_objects_and_none_are_refused(session):
    with pytest.raises(UnknownObjectError, match="7"):
        session.preview(0, objects=[7])
    with pytest.raises(UnknownObjectError, match="7"):
        session.propagate(objects=[1, 7])
    with pytest.raises(NoPromptError, match="Objects with prompts or references: 1, 2"):
        session.propagate(objects=[])


def test_a_prompt_of_another_object_does_not_decide_where_to_start(session):
    session.click(3, 9, (20, 20))

    assert next(session.propagate(objects=[9])).frame == 3
