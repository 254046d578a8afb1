"""Prompts of Label Studio's files."""

from sam2_hf.engine.prompts.label_studio import is_label_studio, label_studio_objects

REGION = {
    "type": "videorectangle",
    "value": {
        "framesCount": 50,
        "labels": ["mug"],
        "sequence": [{"frame": 3, "x": 10, "y": 20, "width": 30, "height": 40}],
    },
}


def test_rectangles_are_boxes_in_percent_of_frames_from_zero():
    task = {
        "data": {"video": "/data/local-files/?d=clips%2Fcup.mp4"},
        "annotations": [{"result": []}, {"result": [REGION, {"type": "choices"}]}],
    }

    ((item,),) = label_studio_objects([task], "tasks.json").values()

    assert is_label_studio([task])
    assert list(label_studio_objects([task], "tasks.json")) == ["cup.mp4"]
    (prompt,) = item.given
    assert (prompt.frame, prompt.clock, prompt.is_percent) == (2, 50, True)
    assert prompt.box == (10, 20, 40, 60)
    assert item.name == "mug"


def test_a_task_without_annotations_has_no_objects():
    assert label_studio_objects([{"data": {"video": "a.mp4"}}], "") == {}
    assert not is_label_studio({"data": 3})
