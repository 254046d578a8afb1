"""JSON files with the run lengths of a photo (SA-1B) or a video (SA-V)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

FRAMES_PER_SECOND = 24  # of SA-V's videos; the files state at how many a second are annotated
EXPECTED = (
    'Expected {"annotations": [{"segmentation": run lengths}, ...]} as in SA-1B, or '
    '{"masklet": [[run lengths of each object] for each frame]} as in SA-V.'
)


@dataclass(frozen=True, slots=True)
class AnnotatedFrame:
    """What a file says about one frame.

    Attributes:
        number: Of the frame in its video.
        segmentations: Of each object; None where it was not annotated.
    """

    number: int
    segmentations: Sequence[object]


def read_segments_file(path: str, every: int) -> list[AnnotatedFrame]:
    """Read the annotated frames of a file.

    Args:
        path: The file.
        every: Distance between two annotated frames, if the file does not tell it.

    Raises:
        DataError: It is not there, is no JSON, has another form, annotates nothing, or states a
            rate that does not fit its video's.

    Source: training/dataset/vos_segment_loader.py:21-47, :206-249,
    training/dataset/vos_raw_dataset.py:289-297 @ 2b90b9f.
    Differs: a frame where some object is not annotated counts for the others.
    """
    content = load_json(path)
    try:
        if isinstance(content, dict) and "annotations" in content:
            listed = [one["segmentation"] for one in content["annotations"]]
            return [AnnotatedFrame(0, listed)]
        frames, every = _masklets(content, every)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (TypeError, KeyError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{path} has no masks in a known form. {EXPECTED}") from error
    annotated = [
        AnnotatedFrame(place * every, segmentations)
        for place, segmentations in enumerate(frames)
        if segmentations and any(one is not None for one in segmentations)
    ]
    if not annotated:
        raise DataError(f"{path} annotates none of its {len(frames)} frame(s).")
    return annotated


def _masklets(content: Any, every: int) -> tuple[list[list[object]], int]:  # noqa: ANN401
    if isinstance(content, list):
        return _lists(content), every
    frames = content["masklet" if "masklet" in content else "masks"]
    if "fps" in content:
        stated = content["fps"][0] if isinstance(content["fps"], list) else content["fps"]
        every = _distance(float(stated))
    return _lists(frames), every


def _lists(frames: list[Any]) -> list[list[object]]:
    """Read what each frame has, which is nothing or a list."""
    if wrong := [one for one in frames if one is not None and not isinstance(one, list)]:
        raise TypeError(f"a frame has {wrong[0]!r:.40}")
    return list(frames)


def _distance(rate: float) -> int:
    """Tell how many frames lie between two annotated ones, given annotated frames a second."""
    if not (rate > 0 and FRAMES_PER_SECOND % rate == 0):
        raise DataError(
            f"fps is {rate:g}, but videos have {FRAMES_PER_SECOND} frames a second, so masks "
            f"cannot be matched with frames. It must divide {FRAMES_PER_SECOND}."
        )
    return round(FRAMES_PER_SECOND / rate)
