"""Prompts sent by programs, checked and converted."""

from collections import Counter
from collections.abc import Mapping
from typing import get_args

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import read_whole, shown
from sam2_hf.pipelines.image_prompts import object_prompt
from sam2_hf.processing.prompts import ObjectPrompt
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.propagation import PropagationDirection
from sam2_hf.writers.mask_png import LAST_LABEL

from .limits import LimitError, Limits
from .uploads import Upload

PHOTO_FORM = '{"points": [[x, y]], "labels": [1], "box": [x0, y0, x1, y1]}'
VIDEO_FORM = '{"frame": 0, "object_id": 1, "points": [[x, y]], "labels": [1], "box": [...]}'
MOST_POINTS = 64  # of an object, on a frame; each slows down every answer
MOST_PROMPTS = 1000  # points and boxes of a video


def read_file(file: object) -> Upload:
    """Read a file from `gradio_client.handle_file`.

    Raises:
        PromptError: It has another form.
    """
    upload = Upload.of_payload(file)
    if upload is None:
        raise PromptError("no file was sent. Pass gradio_client.handle_file('photo.jpg').")
    return upload


def read_objects(objects: object, limits: Limits) -> list[ObjectPrompt]:
    """Read the objects of a photo.

    Raises:
        PromptError: They do not have the documented form.
        LimitError: There are too many.
    """
    if not isinstance(objects, list) or not objects:
        raise PromptError(f"objects must be a list of {PHOTO_FORM}, with at least one of them.")
    _check_count(len(objects), limits)
    for described in objects:
        if (
            not isinstance(described, Mapping)
            or not described
            or not set(described) <= {"points", "labels", "box"}
        ):
            raise PromptError(f"an object is {str(described)[:60]!r}; it must be {PHOTO_FORM}.")
        _check_points(_num_points(described))
    return [object_prompt(described) for described in objects]


def read_video_prompts(prompts: object, limits: Limits) -> list[VideoPrompt]:
    """Read the prompts of a video.

    Raises:
        PromptError: They do not have the documented form.
        LimitError: There are too many objects.
    """
    if not isinstance(prompts, list) or not prompts:
        raise PromptError(f"prompts must be a list of {VIDEO_FORM}, with at least one of them.")
    _check_amount(prompts)
    read = [_video_prompt(prompt) for prompt in prompts]
    _check_count(len({prompt.object_id for prompt in read}), limits)
    return read


def require_direction(direction: object) -> PropagationDirection:
    """Read the direction of tracking.

    Raises:
        PromptError: It is unknown.
    """
    directions: tuple[PropagationDirection, ...] = get_args(PropagationDirection)
    for known in directions:
        if direction == known:
            return known
    raise PromptError(f"direction is {str(direction)[:40]!r}; use one of {', '.join(directions)}.")


def _video_prompt(given: object) -> VideoPrompt:
    required = {"frame", "object_id"}
    allowed = required | {"points", "labels", "box"}
    if not isinstance(given, Mapping) or not required <= set(given) <= allowed:
        raise PromptError(f"a prompt is {str(given)[:60]!r}; it must be {VIDEO_FORM}.")
    frame, object_id = given["frame"], given["object_id"]
    if read_whole(frame) is None or frame < 0:
        raise PromptError(f"frame is {shown(frame)}; it must be a whole number from 0 on.")
    if read_whole(object_id) is None or not 1 <= object_id <= LAST_LABEL:
        raise PromptError(f"object_id is {shown(object_id)}; it must be within 1 and {LAST_LABEL}.")
    prompt = object_prompt({name: given.get(name) for name in ("points", "labels", "box")})
    return VideoPrompt(frame, object_id, clicks=prompt.clicks, box=prompt.box)


def _num_points(given: object) -> int:
    points = given.get("points") if isinstance(given, Mapping) else None
    return len(points) if isinstance(points, list) else 0


def _check_points(count: int) -> None:
    if count > MOST_POINTS:
        raise LimitError(f"an object has {count} points; {MOST_POINTS} are allowed here.")


def _check_amount(prompts: list) -> None:
    """Refuse too many prompts before any is read."""
    total = sum(max(1, _num_points(prompt)) for prompt in prompts)
    if total > MOST_PROMPTS:
        raise LimitError(f"there are {total} points and boxes; {MOST_PROMPTS} are allowed here.")
    by_place: Counter[str] = Counter()
    for prompt in prompts:
        if isinstance(prompt, Mapping):
            by_place[f"{prompt.get('frame')} {prompt.get('object_id')}"] += _num_points(prompt)
    _check_points(max(by_place.values(), default=0))


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.objects:
        raise LimitError(f"there are {count} objects; {limits.objects} are allowed here.")
