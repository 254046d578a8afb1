"""The worst frames of a run."""

import numpy as np
from PIL import Image

from evaluation.metrics.masklets import MaskletValues
from evaluation.sets.open_set import open_set
from evaluation.vos.worst_frames import draw_worst, find_worst
from sam2_hf.writers.mask_png import write_label_png
from tests.small_sets import SIZE, boxes, write_davis


def values(*j):
    return MaskletValues.from_lists({"j": j, "f": j})


def test_objects_come_by_their_worst_frames_one_frame_of_each(tmp_path):
    videos = open_set("davis17-val", str(write_davis(tmp_path)))
    scored = {
        "cat": {1: values(0.9, 0.3, 0.8), 2: values(0.7, 0.6, 0.9)},
        "dog": {1: values(0.5, 0.5, 0.1), 2: values(1, 1, 1)},
    }

    worst = find_worst(videos, scored, 3)

    assert [(one.video, one.number, one.frame) for one in worst] == [
        (1, 1, 2),
        (0, 1, 1),
        (0, 2, 1),
    ]
    assert (worst[0].j, worst[0].f) == (10, 10)


def test_what_was_found_stands_beside_the_truth(tmp_path):
    videos = open_set("davis17-val", str(write_davis(tmp_path / "set", ("cat",))))
    for frame in range(5):
        path = tmp_path / "masks" / "cat" / f"{frame:05d}.png"
        write_label_png(path, {1: boxes(frame) == (2 if frame == 2 else 1)}, SIZE)

    draw_worst(videos, {"cat": {1: values(1, 0, 1)}}, tmp_path / "masks", tmp_path / "worst.png")

    sheet = np.asarray(Image.open(tmp_path / "worst.png").convert("RGB")).astype(int)
    found, true = sheet[:, : sheet.shape[1] // 2], sheet[:, sheet.shape[1] // 2 :]
    blue = [(half[..., 2] - half[..., 0] > 60).mean(axis=0) for half in (found, true)]
    # the mask of frame 2 lies on the other object there
    assert blue[0].argmax() > blue[1].argmax()
