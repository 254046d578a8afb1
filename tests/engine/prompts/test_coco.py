"""Prompts of COCO files."""

from sam2_hf.engine.prompts.coco import coco_objects, coco_video_objects, is_coco, is_coco_video

IMAGES = [
    {"id": 1, "file_name": "cup/00007.jpg"},
    {"id": 2, "file_name": "cup/00003.jpg"},
    {"id": 3, "file_name": "dog/x.jpg", "frame_id": 5},
]
CATEGORIES = [{"id": 9, "name": "mug"}]


def annotation(number, image, **more):
    return {"id": number, "image_id": image, "category_id": 9, "bbox": [1, 2, 3, 4], **more}


def test_annotations_of_a_track_are_one_object_and_others_are_objects_alone():
    content = {
        "images": IMAGES,
        "categories": CATEGORIES,
        "annotations": [
            annotation(1, 1, track_id=4),
            annotation(2, 2, attributes={"track_id": 4}),
            annotation(3, 1),
            annotation(4, 3, segmentation=[[0, 0, 9, 0, 9, 9]]),
            annotation(5, 3, iscrowd=1),
        ],
    }

    found = coco_objects(content, "boxes.json")

    assert is_coco(content)
    track, alone = found["cup"]
    assert [(prompt.frame, prompt.box) for prompt in track.given] == [
        (7, (1, 2, 4, 6)),
        (3, (1, 2, 4, 6)),
    ]
    assert (track.name, track.by) == ("mug", "boxes.json")
    assert [prompt.frame for prompt in alone.given] == [7]
    ((dog,),) = [item.given for item in found["dog"]]
    assert (dog.frame, dog.segmentation) == (5, [[0, 0, 9, 0, 9, 9]])


def test_a_track_of_a_video_is_prompted_where_it_is_first_seen():
    mask = {"size": [4, 4], "counts": [16]}
    content = {
        "videos": [{"id": 1, "file_names": ["cup/0.jpg"]}, {"id": 2, "name": "dog.mp4"}],
        "categories": CATEGORIES,
        "annotations": [
            {"video_id": 1, "category_id": 9, "segmentations": [None, mask, mask]},
            {"video_id": 2, "category_id": 9, "bboxes": [None, None, [0, 0, 2, 2]]},
            {"video_id": 2, "category_id": 9, "bboxes": [None]},
        ],
    }

    found = coco_video_objects(content, "tracks.json")

    assert is_coco_video(content)
    assert [prompt.frame for item in found["cup"] for prompt in item.given] == [1]
    assert [prompt.box for item in found["dog.mp4"] for prompt in item.given] == [(0, 0, 2, 2)]
