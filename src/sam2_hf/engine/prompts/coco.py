"""Prompts of COCO JSON: masks or boxes on single frames, or on the first frame of a track."""

from pathlib import PurePosixPath
from typing import Any

from .given_objects import GivenObject, GivenPrompt, trailing_number

TRACK_KEYS = ("track_id", "object_id", "instance_id")


def is_coco(content: Any) -> bool:  # noqa: ANN401 - what JSON holds
    """Whether a file has pictures, which are frames of videos."""
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def is_coco_video(content: Any) -> bool:  # noqa: ANN401 - what JSON holds
    """Whether a file has videos, as YouTube-VIS has them."""
    return isinstance(content, dict) and {"videos", "annotations"} <= set(content)


def coco_objects(content: Any, by: str) -> dict[str, list[GivenObject]]:  # noqa: ANN401
    """Read pictures named `VIDEO/00012.jpg`; every annotation is a prompt.

    Annotations of one video with the same `track_id` (or `object_id`, `instance_id`, also among
    `attributes`) are one object. Others are objects of their own. A frame's number is its
    `frame_id`. Without one, it is that of the picture of this name in the video's folder; in a
    video file, the number that the name ends with, or its place among the video's pictures.
    """
    categories = {row["id"]: row.get("name") for row in content.get("categories", ())}
    places = _frame_places(content["images"])
    objects: dict[str, dict[Any, list[Any]]] = {}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd"):
            video, *_ = places[annotation["image_id"]]
            track = _track(annotation)
            key = ("alone", annotation["id"]) if track is None else ("track", track)
            objects.setdefault(video, {}).setdefault(key, []).append(annotation)
    return {
        video: [
            GivenObject(
                tuple(_prompt(item, *places[item["image_id"]][1:]) for item in annotations),
                categories.get(annotations[0].get("category_id")),
                by,
            )
            for annotations in grouped.values()
        ]
        for video, grouped in objects.items()
    }


def coco_video_objects(content: Any, by: str) -> dict[str, list[GivenObject]]:  # noqa: ANN401
    """Read tracks; the first frame with a mask or a box is the prompt."""
    categories = {row["id"]: row.get("name") for row in content.get("categories", ())}
    names = {video["id"]: _video_name(video) for video in content["videos"]}
    found: dict[str, list[GivenObject]] = {}
    for annotation in content["annotations"]:
        masks, boxes = annotation.get("segmentations") or [], annotation.get("bboxes") or []
        for frame in range(max(len(masks), len(boxes))):
            mask = masks[frame] if frame < len(masks) else None
            box = boxes[frame] if frame < len(boxes) else None
            if mask or box:
                row = {"segmentation": mask, "bbox": box}
                name = categories.get(annotation.get("category_id"))
                given = GivenObject((_prompt(row, frame),), name, by)
                found.setdefault(names[annotation["video_id"]], []).append(given)
                break
    return found


def _video_name(video: Any) -> str:  # noqa: ANN401 - what JSON holds
    if video.get("name"):
        return str(video["name"])
    return PurePosixPath(video["file_names"][0]).parent.name


def _track(annotation: Any) -> object:  # noqa: ANN401 - what JSON holds
    for place in (annotation, annotation.get("attributes") or {}):
        for key in TRACK_KEYS:
            if place.get(key) is not None:
                return place[key]
    return None


def _frame_places(images: Any) -> dict[Any, tuple[str, int, str]]:  # noqa: ANN401 - what JSON holds
    """Find video, frame and stem of each picture, by its id; no stem if the frame is sure."""
    places: dict[Any, tuple[str, int, str]] = {}
    counts: dict[str, int] = {}
    for image in sorted(images, key=lambda item: str(item["file_name"])):
        path = PurePosixPath(image["file_name"])
        video = path.parent.name
        number = trailing_number(path.stem)
        frame = image.get("frame_id", counts.get(video, 0) if number is None else number)
        counts[video] = counts.get(video, 0) + 1
        stem = "" if "frame_id" in image else path.stem
        places[image["id"]] = video, int(frame), stem
    return places


def _prompt(row: Any, frame: int, stem: str = "") -> GivenPrompt:  # noqa: ANN401
    """Take the mask of an annotation, or its box if it has none."""
    if row.get("segmentation"):
        return GivenPrompt(frame, segmentation=row["segmentation"], stem=stem)
    left, top, width, height = map(float, row["bbox"])
    return GivenPrompt(frame, box=(left, top, left + width, top + height), stem=stem)
