"""COCO JSON of a video."""

import json

import numpy as np

from sam2_hf import rle
from sam2_hf.writers.coco_video import write_coco_video
from sam2_hf.writers.masklet_json import VideoFacts
from tests.pipelines.tracked import SIZE, square, tracked_frame, tracked_object

PROMPT = {"frame": 1, "points": [[1, 2, 1]], "boxes": [], "has_mask": False}
ABOUT = VideoFacts("clip", SIZE, 4, 10.0, "some-model", (0, 300), {300: "cup"}, {300: [PROMPT]})
FRAMES = [
    tracked_frame(1, tracked_object(0, -1), tracked_object(300, 1)),
    tracked_frame(3, tracked_object(0, -1), tracked_object(300, 4, iou=0.5)),
]


def test_each_object_has_a_mask_a_frame_its_name_and_its_own_prompts(tmp_path):
    content = json.loads(write_coco_video(tmp_path / "clip.json", ABOUT, FRAMES).read_text())

    (video,) = content["videos"]
    assert (video["width"], video["height"], video["length"]) == (10, 8, 4)
    assert video["file_names"][3] == "clip/00003.jpg"
    assert [row["name"] for row in content["categories"]] == ["object", "cup"]
    hidden, seen = content["annotations"]
    assert (hidden["object_id"], seen["object_id"], seen["category_id"]) == (0, 300, 2)
    assert (hidden["segmentations"], hidden["prompts"]) == ([None] * 4, [])
    assert seen["prompts"] == [PROMPT]
    assert seen["bboxes"] == [None, [1, 2, 2, 3], None, [4, 2, 2, 3]]
    assert seen["areas"] == [None, 6, None, 6]
    assert seen["score"] == 0.7
    for frame, left in ((1, 1), (3, 4)):
        mask = rle.decode(rle.from_coco(seen["segmentations"][frame]))
        np.testing.assert_array_equal(mask, square(left))
