"""Files of prompts: COCO, COCO of a video, CVAT, Label Studio, and folders of masks as in DAVIS.

Each names its videos; the objects of one are found by file name, or by its stem.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from sam2_hf.data.annotated_video import RowRecording
from sam2_hf.data.davis import read_sequence
from sam2_hf.data.folders import folder_names
from sam2_hf.engine.video_queue import QueuedVideo
from sam2_hf.errors import DataError, Sam2Error, nearest_hint
from sam2_hf.json_input import load_json
from sam2_hf.rle import encode, to_coco

from .coco import coco_objects, coco_video_objects, is_coco, is_coco_video
from .cvat import cvat_objects
from .given_objects import GivenObject, GivenPrompt, frames_of_pictures
from .label_studio import is_label_studio, label_studio_objects

ByVideo = dict[str, list[GivenObject]]
EXPECTED = (
    "Prompts are COCO JSON of frames (VIDEO/00012.jpg) or of videos (YouTube-VIS), CVAT XML, Label "
    "Studio JSON, or a folder with a folder of PNG masks for each video."
)
JSON_READERS: Sequence[tuple[Callable[[Any], bool], Callable[[Any, str], ByVideo]]] = (
    (is_coco_video, coco_video_objects),
    (is_coco, coco_objects),
    (is_label_studio, label_studio_objects),
)


def read_prompts(path: Path) -> ByVideo:
    """Read the objects of each video.

    Args:
        path: File or folder.

    Returns:
        By name of the video, as the file has it.

    Raises:
        DataError: It cannot be read, or is of no known form.
    """
    if path.is_dir():
        return _mask_folders(path)
    try:
        if path.suffix.lower() == ".xml":
            return cvat_objects(ElementTree.parse(path).getroot(), path.name)
        content = load_json(path)
        for fits, read in JSON_READERS:
            if fits(content):
                return read(content, path.name)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError),
        ElementTree.ParseError,
    ) as error:
        if isinstance(error, Sam2Error):
            raise
        raise DataError(f"{path} cannot be read as prompts ({error!r}). {EXPECTED}") from error
    raise DataError(f"{path} is of no known form. {EXPECTED}")


def match_prompts(
    prompts: ByVideo, videos: Iterable[QueuedVideo]
) -> tuple[dict[str, list[GivenObject]], dict[str, str]]:
    """Match a file's videos with those of the queue: by file name, else by stem.

    Args:
        prompts: From `read_prompts`.
        videos: The queue.

    Returns:
        Objects by id of the queued video; and for each name without a video, what is wrong.
    """
    names: dict[str, list[QueuedVideo]] = {}
    for video in videos:
        for name in {video.name, video.stem, video.address}:
            names.setdefault(name, []).append(video)
    found: dict[str, list[GivenObject]] = {}
    by_id: dict[str, QueuedVideo] = {}
    problems: dict[str, str] = {}
    for given, objects in prompts.items():
        last = PurePosixPath(given).name
        fitting = names.get(given) or names.get(last) or names.get(os.path.splitext(last)[0])
        if not fitting:
            hint = nearest_hint(last, names) if names else "The queue is empty."
            problems[given] = f"there are prompts for {given}, which is not in the queue. {hint}"
        elif len(fitting) > 1:
            listed = ", ".join(video.address for video in fitting)
            problems[given] = f"the prompts for {given} fit several videos: {listed}."
        else:
            found.setdefault(fitting[0].id, []).extend(objects)
            by_id[fitting[0].id] = fitting[0]
    return _on_their_frames(found, by_id, problems), problems


def _on_their_frames(
    found: ByVideo, videos: Mapping[str, QueuedVideo], problems: dict[str, str]
) -> ByVideo:
    """Find the frames of prompts for pictures by name; add to the problems what fails."""
    placed: ByVideo = {}
    for video_id, objects in found.items():
        video = videos[video_id]
        folder = Path(video.address) if os.path.isdir(video.address) else None
        try:
            placed[video_id] = frames_of_pictures(objects, folder)
        except Sam2Error as error:
            problems[video.name] = f"the prompts for {video.name} cannot be used: {error}"
    return placed


def _mask_folders(folder: Path) -> ByVideo:
    """Read the first mask of each object below `folder/VIDEO`."""
    root = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    found: ByVideo = {}
    for name in folder_names(root):
        row = read_sequence(name, root / name, root / name)
        if row.annotated:
            found[name] = _first_masks(RowRecording(row), row.frame_names, folder.name)
    if not found:
        raise DataError(f"{folder} has no folder with masks in it. {EXPECTED}")
    return found


def _first_masks(recording: RowRecording, stems: Sequence[str], by: str) -> list[GivenObject]:
    """Find the frame on which each object is seen first; a file is named after its frame."""
    first: dict[int, GivenObject] = {}
    for place, number in enumerate(recording.annotated):
        stem = stems[number]
        frame = int(stem) if stem.isdecimal() else number
        objects = recording.objects(place)
        new = {label for label, area in objects.areas().items() if area > 0} - set(first)
        for label in sorted(new):
            segmentation = to_coco(encode(objects.mask(label)))
            prompt = GivenPrompt(frame, segmentation=segmentation, stem=stem)
            first[label] = GivenObject((prompt,), by=by)
    return [first[label] for label in sorted(first)]
