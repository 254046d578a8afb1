"""What a long video holds that is tracked by the original's names, where it grows without end."""

import pytest

from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from sam2_hf.video.session_options import SessionOptions
from tests.fakes import FakeModel, picture

FRAMES, BUDGET = 3000, 2**20


class Endless:
    """Frames that are made when they are read."""

    def __len__(self):
        return FRAMES

    def __getitem__(self, frame):
        return picture(frame)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["all", "window"])
def test_three_thousand_frames_hold_no_more_than_the_first_ones(keep):
    options = SessionOptions.preset("official", keep=keep, ram_budget=BUDGET)
    predictor = SAM2VideoPredictor(FakeModel(), options)
    state, held = predictor.init_state(Endless()), {}
    predictor.add_new_points_or_box(state, 0, 1, [(20, 20)], [1])
    predictor.add_new_points_or_box(state, 0, 2, [(40, 30)], [1])

    for frame, _, _ in predictor.propagate_in_video(state):
        if frame in (500, FRAMES - 1):
            held[frame] = state.session.bytes_held()

    first, last = held.values()
    assert first.device == last.device
    assert last.ram <= BUDGET
    assert (last.disk > first.disk) == (keep == "all")
    assert len(state["output_dict_per_obj"][0]["non_cond_frame_outputs"]) == (
        FRAMES - 1 if keep == "all" else options.window
    )
