"""The model that reads the truth, through the whole evaluation: 100 and no switches."""

import numpy as np
import pytest

from evaluation.everything.methods import perfect
from evaluation.everything.scoring import score_unprompted
from evaluation.sets.open_set import open_set
from tests.small_sets import SIZE, write_frame, write_labels

FRAMES = 26


def labels(frame):
    """Two boxes that cross, and one that is hidden twice and leaves the picture in between."""
    labels_hw = np.zeros(SIZE, np.uint8)
    if not (4 <= frame < 9 or 12 <= frame < 20):
        labels_hw[14:22, 1 + frame : 9 + frame] = 3
    labels_hw[2:10, frame : frame + 8] = 1  # in front
    behind_hw = np.zeros(SIZE, bool)
    behind_hw[4:13, 26 - frame : 34 - frame] = True
    labels_hw[behind_hw & (labels_hw == 0)] = 2
    return labels_hw


@pytest.fixture
def video(tmp_path):
    """The video of these labels; no two frames are equal."""
    for frame in range(FRAMES):
        labels_hw = labels(frame)
        shown_hw = labels_hw.copy()
        shown_hw[-1, :] = frame % 3
        shown_hw[-1, frame] = 2
        write_frame(tmp_path / f"JPEGImages/480p/crossing/{frame:05d}.jpg", shown_hw)
        write_labels(tmp_path / f"Annotations/480p/crossing/{frame:05d}.png", labels_hw)
    (found,) = open_set("folder", str(tmp_path))
    return found


@pytest.mark.parametrize("layout", ["overlapping", "panoptic"])
@pytest.mark.parametrize("every", [1, 4, 10])
def test_occlusion_and_re_entry_cost_nothing(video, layout, every):
    options = {
        "key_frame_every": every,
        "layout": layout,
        "end_after": 20,
        "scene_cuts": False,
        "min_area": 0.001,
    }

    score = score_unprompted(video, list(perfect(video, None, options)))

    assert {n: v.score.j_and_f for n, v in score.objects.items()} == {1: 100, 2: 100, 3: 100}
    assert score.switches == {1: 0, 2: 0, 3: 0}
    assert score.num_masklets == 3
