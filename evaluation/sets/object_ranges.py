"""Scored frames of each object, from a JSON file of the set.

Source: lvos/evaluation.py and lvos/lvos_seperate.py of lvos-evaluation @ 25cb02d.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sam2_hf.data.rows import VideoRow
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

from .set_rules import SetRules

EVERY = 5  # distance of annotated frames
Ranges = Mapping[str, Mapping[str, Mapping[str, Any]]]


def with_ranges(rules: SetRules, root: Path, rows: list[VideoRow]) -> list[VideoRow]:
    """Fill in the scored frames of each object, and which videos are of unseen categories.

    Raises:
        DataError: The file is missing or damaged, or lacks a video or an object.
    """
    path = next((root / name for name in rules.meta if (root / name).is_file()), None)
    if path is None:
        raise DataError(
            f"there is no {root / rules.meta[0]}, which says on which frames each object counts. "
            f"Get it from {rules.page}."
        )
    try:
        ranges = {name: video["objects"] for name, video in load_json(path)["videos"].items()}
        filled = [_with_frames(row, ranges[row.name]) for row in rows]
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} lacks {error}. It must have a frame_range of start and end for each object of "
            'each video, in "videos", "objects".'
        ) from error
    listing = next((root / name for name in rules.unseen if (root / name).is_file()), None)
    if listing is None:
        return filled
    unseen = {line.strip() for line in listing.read_text(encoding="utf-8").splitlines()}
    return [replace(row, unseen=row.name in unseen) for row in filled]


def _with_frames(row: VideoRow, objects: Mapping[str, Mapping[str, Any]]) -> VideoRow:
    """List the frames of each object, by index in the video."""
    places = {int(row.frame_names[frame]): frame for frame in row.annotated}
    frames = []
    for number in row.object_ids:
        limits = objects[str(number)]["frame_range"]
        wanted = range(int(limits["start"]), int(limits["end"]), EVERY)
        if missing := [frame for frame in wanted if frame not in places]:
            raise DataError(
                f"{row.name}: frame {missing[0]} of object {number} counts, but has no mask. Get "
                "the masks again."
            )
        frames.append([places[frame] for frame in wanted])
    return replace(row, object_frames=frames)
