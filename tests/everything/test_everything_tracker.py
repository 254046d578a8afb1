"""The loop that finds, tracks, ends and finds again, with a model that reads the truth."""

import json

import numpy as np
import pytest

from sam2_hf import FrameError, SessionError, VideoEverythingOptions, VideoSession
from sam2_hf.everything.everything_tracker import EverythingTracker
from sam2_hf.everything.key_frame_masks import KeyFrameMask
from sam2_hf.everything.tracks import EverythingState
from tests.fakes import FakeModel, fake_clip

TWO = {1: (4, 4, 12, ()), 2: (30, 24, 14, ())}


def none_found(frame, picture):
    return []


def same_result(first, second):
    assert first.object_ids == second.object_ids
    for number in first.object_ids:
        np.testing.assert_array_equal(first.masks[number], second.masks[number])


def test_every_object_keeps_one_id_and_its_mask_on_every_frame(squares, run_on):
    video = squares(10, TWO)

    results = run_on(video).results()

    assert [result.frame for result in results] == list(range(10))
    for result in results:
        truth = video.masks(result.frame)
        assert result.object_ids == (1, 2)
        for mask in truth.values():
            assert any(np.array_equal(mask, found) for found in result.masks.values())


@pytest.mark.parametrize("hidden", [range(2, 4), range(3, 9), range(4, 14)])
def test_an_object_that_was_hidden_keeps_its_id(squares, run_on, hidden):
    video = squares(20, {**TWO, 1: (4, 4, 12, hidden)})

    assert run_on(video).ids_by_object() == {1: [1], 2: [2]}


def test_a_hidden_object_has_an_empty_mask_and_a_negative_score(squares, run_on):
    results = run_on(squares(8, {**TWO, 1: (4, 4, 12, range(3, 6))})).results()

    assert not results[4].masks[1].any()
    assert results[4].object_score[1] < 0


def test_an_object_away_for_long_is_not_tracked_but_found_again_with_its_id(squares, run_on):
    run = run_on(squares(32, {**TWO, 1: (4, 4, 12, range(5, 23))}), end_after=2)
    ids = [result.object_ids for result in run.results()]

    assert ids[15] == (2,)  # its track has ended: it was absent at key frames 8 and 12
    assert ids[24] == (1, 2)
    notes = [(note.frame, note.object_id, note.reasons) for note in run.tracker.state.notes]
    assert notes == [(24, 1, ("found again after 19 frames out of view",))]


def test_an_object_that_enters_is_found_on_the_next_key_frame(squares, run_on):
    results = run_on(squares(10, {**TWO, 3: (4, 30, 12, range(6))})).results()

    assert [len(result.object_ids) for result in results] == [2] * 8 + [3] * 2
    assert results[8].object_ids == (1, 2, 3)
    np.testing.assert_array_equal(
        results[8].masks[3], squares(10, {3: (4, 30, 12, ())}).masks(8)[3]
    )


def test_no_more_objects_are_tracked_than_allowed(squares, run_on):
    run = run_on(squares(6, {**TWO, 3: (4, 30, 12, ())}), max_objects=2)

    assert {result.object_ids for result in run.results()} == {(1, 2)}
    assert run.tracker.state.full_on == 0


def test_an_object_that_is_away_makes_room_for_a_new_one_and_is_still_found_again(squares, run_on):
    objects = {**TWO, 1: (4, 4, 12, range(3, 14)), 3: (4, 30, 12, [*range(6), *range(12, 30)])}
    run = run_on(squares(20, objects), max_objects=2, end_after=50)
    ids = [result.object_ids for result in run.results()]

    assert ids[8] == (2, 3)  # object 1 was away on key frame 8, where object 3 appears
    assert ids[16] == (1, 2)  # and object 3 on key frame 16, where object 1 is back
    assert run.tracker.state.full_on is None


def test_ended_tracks_are_forgotten_beyond_the_number_of_objects(squares, run_on):
    appear = {n: (4 + 9 * n, 4, 8, [*range(4 * n), *range(4 * n + 1, 40)]) for n in range(5)}
    run = run_on(squares(40, appear), max_objects=2, end_after=1)

    run.results()

    assert len(run.session.object_ids) <= 2
    assert run.tracker.state.next_id == 6


def test_after_a_scene_cut_nothing_is_remembered_and_ids_go_on(squares, run_on):
    run = run_on(squares(12, TWO), key_frame_every=5)
    run.tracker._cuts.begins_scene = lambda frame: frame == 7

    ids = [result.object_ids for result in run.results()]

    assert ids == [(1, 2)] * 7 + [(3, 4)] * 5
    assert run.tracker.state.cuts == [7]
    assert run.session.object_ids == (3, 4)


def test_scene_cuts_are_not_looked_for_if_so_chosen(squares, run_on):
    assert run_on(squares(2, TWO), scene_cuts=False).tracker._cuts is None


def test_a_video_without_objects_gives_empty_results(squares, run_on):
    results = run_on(squares(6, TWO), find=none_found).results()

    assert [result.object_ids for result in results] == [()] * 6
    assert [result.frame for result in results] == list(range(6))
    assert results[3].size == (48, 64)


def test_a_run_goes_on_from_a_saved_session_and_state(squares, run_on, tmp_path):
    video = squares(16, {**TWO, 1: (4, 4, 12, range(3, 12))})
    expected = run_on(video, end_after=1).results()
    for stop in (3, 8, 9):
        run = run_on(video, end_after=1)
        begun = run.tracker.run()
        first = [next(begun) for _ in range(stop)]
        run.session.save(tmp_path / str(stop))
        state = json.dumps(run.tracker.state.to_json())
        loaded = VideoSession.load(tmp_path / str(stop), video.pictures(), run.session.model)
        tracker = EverythingTracker(
            loaded, run.find, run.tracker.options, EverythingState.from_json(json.loads(state))
        )

        for result, other in zip([*first, *tracker.run()], expected, strict=True):
            same_result(result, other)


def test_a_frame_that_cannot_be_read_ends_the_run_after_those_before(squares, run_on):
    run = run_on(squares(10, TWO))
    read = run.session.frames.pixel_values

    def broken(frame, device=None):
        if frame == 6:
            raise FrameError("frame 6 cannot be read: it is damaged")
        return read(frame, device)

    run.session.frames.pixel_values = broken
    begun = run.tracker.run()
    results = [next(begun) for _ in range(6)]

    with pytest.raises(FrameError, match="frame 6"):
        next(begun)
    assert results[-1].object_ids == (1, 2)


def test_tracks_that_became_the_same_are_merged_into_the_older_one(squares, run_on):
    # both prompts are the same object to the model, which a finder shows as two only at first
    video = squares(10, {1: (4, 4, 16, ())})
    half = np.zeros((48, 64), bool)
    half[4:20, 4:15] = True

    def find(frame, picture):
        masks = [KeyFrameMask.of(video.masks(frame)[1], 0.9)]
        return [*masks, KeyFrameMask.of(half, 0.8)] if frame == 0 else masks

    run = run_on(video, find=find)
    ids = [result.object_ids for result in run.results()]

    assert ids[0] == (1, 2)
    assert ids[-1] == (1,)
    (note,) = run.tracker.state.notes
    assert "became the same as object 1" in note.reasons[0]


def test_a_track_that_no_mask_confirms_is_noted_once(squares, run_on):
    video = squares(14, TWO)

    def find(frame, picture):
        masks = video.masks(frame)
        return [KeyFrameMask.of(masks[n], 0.9) for n in ((1, 2) if frame == 0 else (2,))]

    run = run_on(video, find=find, drift_after=2)
    run.results()

    ((frame, number, reasons),) = [
        (note.frame, note.object_id, note.reasons) for note in run.tracker.state.notes
    ]
    assert (frame, number) == (8, 1)
    assert "after frame 0" in reasons[0]


def test_a_live_stream_and_a_session_in_use_are_refused(squares, run_on):
    options = VideoEverythingOptions()
    with pytest.raises(SessionError, match="looks a few frames ahead"):
        EverythingTracker(VideoSession.open(None, FakeModel()), none_found, options)
    session = VideoSession.open(fake_clip(3), FakeModel())
    session.click(0, 5, (10, 10))
    with pytest.raises(SessionError, match=r"the session has the objects \[5\]"):
        EverythingTracker(session, none_found, options)
