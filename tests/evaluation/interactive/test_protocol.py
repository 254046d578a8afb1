"""The interactive protocols, with a tracker whose errors are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.interactive.protocol import InteractiveRules, interact, interactive_options
from evaluation.sets.open_set import open_set
from evaluation.vos.tracking import Pictures
from sam2_hf import Sam2VideoInferenceSession
from tests.small_sets import boxes, write_davis, write_labels, write_masklets

SIZE = (24, 36)


class Tracker:
    """Knows the truth on clicked frames and `good` ones; elsewhere it finds a part of it."""

    def __init__(self, part, num_frames=8):
        self.part, self.num_frames, self.clicks, self.starts = part, num_frames, [], []

    @property
    def object_ids(self):
        return (1,) if self.clicks else ()

    def click(self, frame, number, xy, *, positive):
        self.clicks.append((frame, xy, positive))

    def mask(self, frame):
        truth_hw = boxes(frame) == 1
        share = 1.0 if frame in {one for one, *_ in self.clicks} else self.part.get(frame, 1.0)
        left = np.flatnonzero(truth_hw.any(axis=0))[0]
        return truth_hw & (np.arange(SIZE[1]) < left + round(9 * share))

    def preview(self, frame):
        return SimpleNamespace(masks={1: self.mask(frame)})

    def propagate(self, start):
        self.starts.append(start)
        for frame in range(start, self.num_frames):
            yield SimpleNamespace(frame=frame, masks={1: self.mask(frame)})


@pytest.fixture
def video(tmp_path):
    return open_set("davis17-val", str(write_davis(tmp_path, ("cat",), frames=8)))[0]


def test_offline_goes_to_the_worst_frame_and_tracks_all_again(video):
    tracker = Tracker({2: 2 / 3, 4: 1 / 3, 6: 8 / 9})

    rounds = list(interact(tracker, video, 1, InteractiveRules("offline", frames=3)))

    assert [one.frame for one in rounds] == [0, 4, 2]
    assert tracker.starts == [0, 0, 0]
    assert [one.values.score.j for one in rounds] == pytest.approx(
        [
            100 * (5 + 2 / 3 + 1 / 3 + 8 / 9) / 8,
            100 * (6 + 2 / 3 + 8 / 9) / 8,
            100 * (7 + 8 / 9) / 8,
        ]
    )


def test_online_stops_at_the_first_bad_frame_and_keeps_what_was_before(video):
    tracker = Tracker({2: 2 / 3, 4: 1 / 3, 6: 8 / 9})

    rounds = list(interact(tracker, video, 1, InteractiveRules("online")))

    assert [one.frame for one in rounds] == [0, 2, 4]  # 8 / 9 is good enough
    assert tracker.starts == [0, 2, 4]
    assert len(rounds[-1].values.frames) == 8


def test_a_perfect_tracker_scores_a_hundred_and_is_clicked_on_one_frame(video):
    for mode in ("offline", "online"):
        rounds = list(interact(Tracker({}), video, 1, InteractiveRules(mode)))

        assert [one.values.score.j for one in rounds] == [100]


def test_the_first_click_goes_to_the_middle_and_a_frame_gets_three(video):
    tracker = Tracker({4: 1 / 3})

    list(interact(tracker, video, 1, InteractiveRules("offline")))

    assert [frame for frame, *_ in tracker.clicks] == [0] * 3 + [4] * 3
    x, y = tracker.clicks[0][1]
    assert (boxes(0) == 1)[int(y), int(x)]
    assert tracker.clicks[0][2] is True


def test_an_object_that_vanishes_is_clicked_away_where_it_is_still_found(tmp_path):
    root = write_davis(tmp_path, ("cat",), frames=8)
    write_labels(root / "Annotations" / "480p" / "cat" / "00003.png", boxes(3, (1, 2)) * 0)
    (video,) = open_set("davis17-val", str(root))
    tracker = Tracker({})

    for mode in ("offline", "online"):
        first, second = interact(tracker, video, 1, InteractiveRules(mode, frames=2))

        assert (first.values.frames[3].j, second.frame) == (0, 3)
    assert [positive for frame, _, positive in tracker.clicks if frame == 3] == [False] * 6


def test_frames_on_which_an_object_is_not_annotated_do_not_count(tmp_path):
    write_masklets(tmp_path)  # nothing is known about object 2 on frame 12
    (video,) = open_set("sav-train", str(tmp_path))

    class Both(Tracker):
        def mask(self, frame):
            return boxes(frame) > 0 if frame < 12 else boxes(frame) > 9

    tracker = Both({}, num_frames=13)
    tracker.preview = lambda frame: SimpleNamespace(masks={2: tracker.mask(frame)})
    tracker.propagate = lambda start: (
        SimpleNamespace(frame=frame, masks={2: tracker.mask(frame)}) for frame in range(start, 13)
    )
    (only,) = interact(tracker, video, 2, InteractiveRules())

    assert [one.j for one in only.values.frames] == [1, 1, 1]


def test_seconds_are_those_of_the_paper():
    offline, online = InteractiveRules("offline"), InteractiveRules("online")

    assert offline.seconds(rounds=8, num_frames=300) == (30 + 1 + 4.5) * 8
    assert online.seconds(rounds=8, num_frames=300) == 30 + (1 + 4.5) * 8


def test_sessions_have_no_postprocessing_and_keep_corrections():
    options = interactive_options()

    assert options.fill_hole_area == 0
    assert not options.binarize_mask_from_pts_for_mem_enc
    assert options.dynamic_multimask_via_stability is False
    assert options.add_all_frames_to_correct_as_cond


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_real_session_goes_through_all_rounds(video, tiny_video_model, mode):
    options = interactive_options()
    pictures = Pictures(video)
    with Sam2VideoInferenceSession.open(pictures, tiny_video_model, options=options) as session:
        rounds = list(interact(session, video, 2, InteractiveRules(mode, frames=3)))

    assert len(rounds) == 3
    assert all(len(one.values.frames) == 8 for one in rounds)
