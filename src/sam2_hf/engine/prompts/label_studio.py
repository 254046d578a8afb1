"""Prompts of Label Studio's JSON: rectangles on keyframes of videos.

It counts frames from 1, at the frame rate of its config; coordinates are percent of the sides.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .given_objects import GivenObject, GivenPrompt

REGION = "videorectangle"


def is_label_studio(content: Any) -> bool:  # noqa: ANN401 - what JSON holds
    """Whether a file is an export of tasks."""
    return isinstance(content, list) and all(
        isinstance(task, dict) and "data" in task for task in content
    )


def label_studio_objects(content: Any, by: str) -> dict[str, list[GivenObject]]:  # noqa: ANN401
    """Read the tasks; of several annotations of one the last is taken."""
    found: dict[str, list[GivenObject]] = {}
    for task in content:
        annotations = [item for item in task.get("annotations", ()) if item.get("result")]
        regions = annotations[-1]["result"] if annotations else []
        objects = [
            given
            for region in regions
            if region.get("type") == REGION
            for given in _objects(region["value"], by)
        ]
        if objects:
            found.setdefault(_video_name(task["data"]), []).extend(objects)
    return found


def _objects(value: Any, by: str) -> Iterator[GivenObject]:  # noqa: ANN401 - what JSON holds
    prompts = tuple(
        GivenPrompt(
            max(int(keyframe["frame"]) - 1, 0),
            box=(
                keyframe["x"],
                keyframe["y"],
                keyframe["x"] + keyframe["width"],
                keyframe["y"] + keyframe["height"],
            ),
            is_percent=True,
            clock=int(value.get("framesCount") or 0),
        )
        for keyframe in value["sequence"]
    )
    if prompts:
        yield GivenObject(prompts, next(iter(value.get("labels") or ()), None), by)


def _video_name(data: Any) -> str:  # noqa: ANN401 - what JSON holds
    """Return the file name in the address of a task's video."""
    address = str(data.get("video") or data.get("video_url") or next(iter(data.values())))
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [parts.path])[0]  # of Label Studio's local files
    return PurePosixPath(unquote(path)).name
