"""COCO JSON of a video, as YouTube-VIS has it: an annotation for each object, a mask a frame."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import atomic_path
from sam2_hf.results.coco import category_ids, category_rows, information
from sam2_hf.results.found_object import UNNAMED

from .frame_journal import ObjectOnFrame, TrackedFrame
from .masklet_json import VideoFacts

FrameName = Callable[[int], str]
NUMBERED: FrameName = "{:05d}.jpg".format


def write_coco_video(
    path: str | os.PathLike[str],
    about: VideoFacts,
    frames: Iterable[TrackedFrame],
    frame_name: FrameName = NUMBERED,
) -> Path:
    """Write all masks of a video as COCO-style JSON.

    `segmentations`, `bboxes` and `areas` of an annotation have an entry for each frame of the
    video: null where the object is hidden or was not tracked.

    Args:
        path: The file.
        about: The video and its objects.
        frames: In order; iterated once for each object, with one frame in memory.
        frame_name: File name of a frame's picture.

    Raises:
        OutputError: The file cannot be written.
    """
    content = coco_video_head(about, frame_name)
    with atomic_path(path) as hidden, hidden.open("w", encoding="ascii") as file:
        for name, section in content.items():
            file.write(f'{"{" if name == "info" else ","}\n"{name}": {json.dumps(section)}')
        file.write(',\n"annotations": [')
        for place, annotation in enumerate(video_annotations(about, frames)):
            file.write(f"{',' * (place > 0)}\n{json.dumps(annotation)}")
        file.write("\n]\n}\n")
    return Path(path)


def coco_video_head(about: VideoFacts, frame_name: FrameName = NUMBERED) -> dict[str, Any]:
    """Describe the video and the categories, all but the annotations."""
    height, width = about.size
    video = {
        "id": 1,
        "name": about.name,
        "width": width,
        "height": height,
        "length": about.num_frames,
        "fps": about.fps,
        "file_names": [f"{about.name}/{frame_name(place)}" for place in range(about.num_frames)],
    }
    return {
        "info": information(about.model),
        "videos": [video],
        "categories": category_rows(_categories(about)),
    }


def video_annotations(
    about: VideoFacts, frames: Iterable[TrackedFrame]
) -> Iterator[dict[str, Any]]:
    """Describe the objects one by one, each with its own prompts."""
    height, width = about.size
    categories = _categories(about)
    for number, object_id in enumerate(about.object_ids, 1):
        seen = {
            tracked.frame: found
            for tracked in frames
            for found in tracked.objects
            if found.object_id == object_id and found.area
        }
        listed = [seen.get(frame) for frame in range(about.num_frames)]
        yield {
            "id": number,
            "video_id": 1,
            "category_id": categories[about.names.get(object_id) or UNNAMED],
            "object_id": object_id,
            "iscrowd": 0,
            "width": width,
            "height": height,
            "length": about.num_frames,
            "score": _mean_score(list(seen.values())),
            "prompts": list(about.prompts.get(object_id, ())),
            "areas": [None if found is None else found.area for found in listed],
            "bboxes": [None if found is None else list(found.box()) for found in listed],
            "segmentations": [None if found is None else found.segmentation for found in listed],
        }


def _categories(about: VideoFacts) -> dict[str, int]:
    return category_ids(about.names.get(object_id) for object_id in about.object_ids)


def _mean_score(found: list[ObjectOnFrame]) -> float:
    """Mean predicted IoU over the frames where the object is seen."""
    return sum(part.predicted_iou for part in found) / len(found) if found else 0.0
