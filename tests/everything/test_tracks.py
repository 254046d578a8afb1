"""State of a run of everything-mode."""

import json

import pytest

from sam2_hf import SessionError
from sam2_hf.everything.tracks import EverythingState


def test_ids_count_on_and_ended_tracks_are_listed_by_when_they_were_seen():
    state = EverythingState()
    ids = [state.add(frame) for frame in (0, 0, 3)]
    state.see(5, [1])
    state.tracks[1].has_ended = state.tracks[3].has_ended = True

    assert ids == [1, 2, 3]
    assert state.active == [2]
    assert state.ended == [1, 3]
    assert state.add(6) == 4


def test_the_state_survives_json():
    state = EverythingState(frame=7, key_frame=10, cuts=[4], full_on=2)
    state.add(4)
    state.note(5, 1, "found again", 0.6)

    assert EverythingState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    "damage",
    [
        {"tracks": [{"id": 1}]},
        {"cuts": [-1]},
        {"notes": 3},
        {"frame_number": 1},
        {"tracks": None},
        {"frame": "3"},
    ],
)
def test_a_damaged_state_is_refused(damage):
    with pytest.raises(SessionError, match="is damaged"):
        EverythingState.from_json({**EverythingState().to_json(), **damage})
