"""What another run changed: frames, IoU, a picture; from results in memory and on disk."""

import json

import numpy as np
import pytest
from PIL import Image

from sam2_hf import VideoSession, rle
from sam2_hf.errors import DataError
from sam2_hf.writers.run_comparison import compare_runs
from tests.fakes import fake_clip, fake_session_on

SIZE = (6, 8)


def mask_of(columns):
    mask_hw = np.zeros(SIZE, bool)
    mask_hw[:, :columns] = True
    return mask_hw


def write_masklets(path, rows, object_ids):
    """Write columns of each mask as `sam2-hf track` writes masks; None where there is none."""
    masks = [
        [None if n is None else rle.to_coco(rle.encode(mask_of(n))) for n in row] for row in rows
    ]
    path.write_text(json.dumps({"masklet_id": object_ids, "masklet": masks}))
    return path


@pytest.fixture
def before(tmp_path):
    return write_masklets(tmp_path / "a_masklets.json", [[4, 1], [4, 0], [4, 0], [2, None]], [1, 5])


@pytest.fixture
def after(tmp_path):
    rows = [[4, 1, 1], [2, 0, 1], [4, 8, 1], [None, None, 1]]
    return write_masklets(tmp_path / "b_masklets.json", rows, [1, 5, 9])


def test_iou_and_changed_frames_are_told_for_each_object(before, after):
    found = compare_runs(before, after)

    first, second = found.objects[1], found.objects[5]
    assert dict(first.iou) == {0: 1, 1: 0.5, 2: 1}
    assert (first.changed, first.only_before, first.only_after) == ((1, 3), (3,), ())
    assert (first.first_changed, first.last_changed) == (1, 3)
    assert first.mean_iou == pytest.approx(2.5 / 3)
    assert dict(second.iou) == {0: 1, 1: 1, 2: 0}  # both are empty on frame 1
    assert (found.changed, found.only_before, found.only_after) == ((1, 2, 3), (), (9,))
    assert "2 of 4 frames differ, from 1 to 3; mean IoU 0.833, lowest 0.500 on" in first.summary()


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


def test_files_folders_and_label_pictures_are_read_alike(tmp_path, before, after):
    (tmp_path / "run").mkdir()
    before.rename(tmp_path / "run" / before.name)
    labels = tmp_path / "run_masks"
    labels.mkdir()
    for frame, columns in enumerate((4, 4, 4, 2)):
        Image.fromarray(mask_of(columns).astype(np.uint8)).save(labels / f"{frame:05d}.png")

    by_folder = compare_runs(tmp_path / "run", after).objects[1]
    by_labels = compare_runs(str(labels), after).objects[1]

    assert by_folder.described() == by_labels.described()


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


def test_a_closed_run_is_refused():
    session = fake_session_on(2)
    session.click(0, 1, (20, 30))
    list(session.propagate())
    session.close()

    with pytest.raises(DataError, match="closed"):
        compare_runs(session, session)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "{",
        '{"masklet_id": [1e400], "masklet": []}',
        '{"masklet_id": [1], "masklet": [[1, 2]]}',
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, after):
    (tmp_path / "other.json").write_text(content)

    with pytest.raises(DataError, match=r"other\.json is n"):
        compare_runs(tmp_path / "other.json", after)


def test_what_is_no_run_is_refused(tmp_path, before, after):
    (tmp_path / "empty").mkdir()
    (tmp_path / "colors").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "colors" / "0.png")
    small = write_masklets(tmp_path / "small.json", [], [1])
    small.write_text(small.read_text().replace("[]", '[[{"size": [2, 2], "counts": "04"}]]'))

    for run, words in (
        (3, "3 is no run"),
        (tmp_path / "missing", "there is no file of masklets"),
        (tmp_path / "empty", "no results"),
        (tmp_path / "colors", "colors instead of labels"),
        (tmp_path, "several videos"),
        (small, "different sizes"),
    ):
        with pytest.raises(DataError, match=words):
            compare_runs(before, run)
