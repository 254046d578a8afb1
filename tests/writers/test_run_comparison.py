"""What another run changed: frames, IoU, a picture; from results in memory and on disk."""

import json
from unittest.mock import patch

import numpy as np
import pytest

from sam2_hf import VideoSession
from sam2_hf.errors import DataError
from sam2_hf.writers import run_comparison
from sam2_hf.writers.run_comparison import ObjectComparison, compare_runs
from tests.fakes import fake_clip, fake_session_on
from tests.writers.masklet_files import SIZE, write_masklets


def test_iou_and_changed_frames_are_told_for_each_object(before, after):
    found = compare_runs(before, after)

    first, second = found.objects[1], found.objects[5]
    assert dict(first.iou) == {0: 1, 1: 0.5, 2: 1}
    assert (first.changed, first.only_before, first.only_after) == ((1, 3), (3,), ())
    assert (first.first_changed, first.last_changed) == (1, 3)
    assert first.mean_iou == pytest.approx(2.5 / 3)
    assert dict(second.iou) == {0: 1, 1: 1, 2: 0}  # both are empty on frame 1
    assert (found.changed, found.only_before, found.only_after) == ((1, 2, 3), (), (9,))
    assert first.summary() == (
        "object 1: 1 of 3 frames differ, on frame 1; mean IoU 0.833, lowest 0.500 on frame 1; "
        "1 only in the first run"
    )


def test_runs_without_a_common_frame_have_no_iou(tmp_path):
    early = write_masklets(tmp_path / "early.json", [[4], [None]], [1])
    late = write_masklets(tmp_path / "late.json", [[None], [4]], [1])

    found = compare_runs(early, late).objects[1]

    assert found.mean_iou is found.described()["mean_iou"] is None
    assert found.summary() == (
        "object 1: no frame is in both runs; 1 only in the first run; 1 only in the second run"
    )


def test_an_iou_just_below_one_is_not_told_as_one():
    iou = {0: 1.0, 1: 0.9998}

    summary = ObjectComparison(1, iou, (), (), (1,)).summary()

    assert summary.endswith("on frame 1; mean IoU above 0.999, lowest above 0.999 on frame 1")


def test_two_views_of_one_session_are_refused():
    """A masklet follows its session, so the correction would be compared with itself."""
    session = fake_session_on(4)
    session.click(0, 1, (20, 30))
    list(session.propagate())

    with pytest.raises(DataError, match="both runs are views of one session"):
        compare_runs(session.masklet(1), session)


def test_runs_on_videos_of_different_lengths_are_refused(tmp_path, before, after, caplog):
    def about(path, name, count):
        facts = json.loads(path.read_text()) | {"video_id": name, "video_frame_count": count}
        path.write_text(json.dumps(facts))

    about(before, "clip", 16)
    about(after, "dance", 24)
    with pytest.raises(DataError, match="one has 16 frames, the other 24"):
        compare_runs(before, after)

    about(after, "dance", 16)
    with patch.object(run_comparison.logger, "warning") as warning:
        compare_runs(before, after)
    assert "are called clip and dance" in warning.call_args.args[0]


def test_a_correction_changes_what_it_changes():
    session = fake_session_on(8)
    session.click(0, 1, (20, 30))
    list(session.propagate())
    before = {frame: session.masklet(1).mask(frame) for frame in range(8)}
    with VideoSession.open(fake_clip(8), session.model) as other:
        other.click(0, 1, (20, 30))
        list(other.propagate())
        session.click(5, 1, (40, 30))
        list(session.propagate(5))

        found = compare_runs(other, session).objects[1]

    assert found.changed == (5, 6, 7)
    for frame, iou in found.iou.items():
        now = session.masklet(1).mask(frame)
        assert iou == pytest.approx((before[frame] & now).sum() / (before[frame] | now).sum())


def test_the_plot_shows_what_differs(before, after, tmp_path):
    video = np.full((4, *SIZE, 3), 90, np.uint8)

    found = compare_runs(before, after)

    assert found.save(tmp_path / "changes.png", video).read_bytes()[1:4] == b"PNG"
    assert found.plot(video).tobytes() != found.plot().tobytes()
    assert found.plot().height > compare_runs(before, before).plot().height
    colors = found._drawn(1, 1, lambda frame: np.zeros((*SIZE, 3), np.uint8))
    assert colors[3, 3, 0] > colors[3, 3, 1]  # red: only the first run has these columns


def test_the_video_of_a_session_stays_open():
    session = fake_session_on(4)
    session.click(0, 1, (20, 30))
    list(session.propagate())

    compare_runs(session, session).plot(session.frames)

    assert len(list(session.propagate())) == 4


def test_a_video_of_another_size_is_refused(before, after, tmp_path):
    video = np.full((4, 6, 9, 3), 90, np.uint8)

    with pytest.raises(DataError, match=r"6 x 9 \(height x width\), and the masks 6 x 8"):
        compare_runs(before, after).save(tmp_path / "changes.png", video)
