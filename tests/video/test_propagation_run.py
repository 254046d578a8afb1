"""What is done to a session between two steps of `propagate`, and under transformers' names."""

import numpy as np
import pytest
import torch

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from tests.fakes import center_of, fake_session_on

GIVEN = np.zeros((64, 64), bool)
GIVEN[32:48, 28:40] = True


def centers(result):
    return {number: center_of(mask) for number, mask in result.masks.items()}


def run_with(session, calls, **arguments):
    """Propagate; after the frames named, call what is given for them. Results by frame."""
    found = {}
    for result in session.propagate(**arguments):
        found[result.frame] = result
        calls.get(result.frame, lambda: None)()
    return found


def clicked(**options):
    session = fake_session_on(8, **options)
    session.click(0, 1, (20, 20))
    return session


def test_a_prompt_for_a_frame_to_come_counts_when_its_frame_comes():
    session, untouched = clicked(), clicked()

    found = run_with(session, {1: lambda: session.mask(3, 1, GIVEN)})

    before = run_with(untouched, {})
    for frame in (0, 1, 2):
        assert torch.equal(found[frame].logits_bhw, before[frame].logits_bhw)
    assert centers(found[3])[1] == center_of(GIVEN)
    assert found[3].prompted == {1}
    assert centers(found[4])[1][0] > centers(before[4])[1][0]  # later frames follow it


def test_a_new_object_begins_on_its_frame():
    session = clicked()

    found = run_with(session, {1: lambda: session.click(4, 2, (40, 40))})

    assert [found[frame].object_ids for frame in (3, 4, 7)] == [(1,), (1, 2), (1, 2)]
    assert centers(found[4])[2] == (40, 40)
    assert centers(found[6])[2] == (42, 40)


def test_behind_the_start_a_prompt_waits_for_the_way_back():
    session = clicked()
    session.click(4, 1, (24, 20))

    found = run_with(session, {5: lambda: session.mask(2, 1, GIVEN)}, start=4, direction="both")

    assert centers(found[2])[1] == center_of(GIVEN)
    assert session._tracker.objects[1].directions[2] == "backward"


@pytest.mark.parametrize("frame", [0, 2])
def test_a_prompt_for_a_present_or_past_frame_counts_from_the_next_one_on(frame):
    """As if the run had been stopped and begun again there."""
    session, stopped = clicked(), clicked()

    found = run_with(session, {2: lambda: session.mask(frame, 1, GIVEN)})

    run_with(stopped, {}, limit=3)
    stopped.mask(frame, 1, GIVEN)
    rest = run_with(stopped, {}, start=3)
    assert found.keys() - rest.keys() == {0, 1, 2}
    assert all(torch.equal(found[f].logits_bhw, rest[f].logits_bhw) for f in rest)


def test_a_correction_to_come_of_a_tracked_frame_is_kept_in_the_original_mode_too():
    """There a correction made before a run is overwritten by it."""
    session = clicked(compat="official")
    run_with(session, {})

    found = run_with(session, {1: lambda: session.mask(3, 1, GIVEN)}, start=0)

    assert centers(found[3])[1] == center_of(GIVEN)
    assert 3 not in session._tracker.objects[1].outputs


def test_an_object_that_is_removed_is_gone_from_the_next_frame_on():
    session = clicked()
    session.click(0, 2, (40, 40))

    found = run_with(session, {2: lambda: session.remove(2)})

    assert [found[frame].object_ids for frame in (2, 3, 7)] == [(1, 2), (1,), (1,)]


def test_a_prompt_that_is_cleared_before_its_frame_comes_has_never_been():
    session, untouched = clicked(), clicked()

    found = run_with(
        session,
        {1: lambda: session.mask(5, 1, GIVEN), 3: lambda: session.clear(5, 1)},
    )

    expected = run_with(untouched, {})
    assert all(torch.equal(found[f].logits_bhw, expected[f].logits_bhw) for f in expected)


def test_a_waiting_prompt_can_be_undone_inside_the_run():
    session = clicked()

    found = run_with(session, {1: lambda: session.click(5, 2, (40, 40)), 3: session.undo})

    assert found[7].object_ids == (1,)


def test_after_a_run_that_is_left_a_waiting_prompt_counts_in_the_next():
    session = clicked()
    for result in session.propagate():
        if result.frame == 1:
            session.mask(5, 1, GIVEN)
            break

    assert centers(session.preview(5))[1] == center_of(GIVEN)
    found = run_with(session, {}, start=2)
    assert centers(found[5])[1] == center_of(GIVEN)


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_under_transformers_names_it_counts_as_well(compat):
    session = clicked(compat=compat)
    model = session._tracker.model
    found = {}
    for output in Sam2VideoModel.propagate_in_video_iterator(model, session, start_frame_idx=0):
        found[output.frame_idx] = output
        if output.frame_idx == 1:
            session.mask(3, 1, GIVEN)
            session.click(4, 2, (40, 40))

    assert (found[3].pred_masks[0, 0] > 0).sum() == 12  # a quarter of the input size
    assert [found[frame].object_ids for frame in (3, 4)] == [[1], [1, 2]]


@pytest.mark.parametrize("compat", ["official", "transformers"])
def test_a_correction_counts_when_the_model_is_called_on_its_frame(compat):
    """Whatever else becomes of it: transformers answers with it, modeling_sam2_video.py:1846."""
    session = clicked(compat=compat)
    run_with(session, {})
    session.mask(3, 1, GIVEN)

    output = session.segment_frame(
        session._tracker.model, frame_idx=3, frame=None, reverse=False, remember=True
    )

    assert (output.pred_masks[0, 0] > 0).sum() == 12
