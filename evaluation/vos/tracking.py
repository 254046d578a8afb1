"""Tracking of the objects of a video, as in the official inference.

Source: tools/vos_inference.py:114-389 @ 2b90b9f.
Differs: later objects join the same session, where objects are independent; the original tracks
    each in a separate session, which gives the same masks but encodes every frame again.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from evaluation.sets.labeled_video import LabeledVideo
from evaluation.sets.set_rules import SetRules
from sam2_hf import Sam2VideoInferenceSession, Sam2VideoModel, SessionOptions
from sam2_hf.errors import DataError
from sam2_hf.video.frame_result import FrameResult

from .given_prompts import Prompt, give


class Pictures(Sequence[NDArray[np.uint8]]):
    """Lazy frames of a video.

    Args:
        video: The video.
    """

    def __init__(self, video: LabeledVideo) -> None:
        self._video = video

    def __len__(self) -> int:
        return self._video.num_frames

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.uint8]]: ...

    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        if isinstance(index, slice):
            return [self._video.picture(frame) for frame in range(*index.indices(len(self)))]
        return self._video.picture(index)


def session_options(rules: SetRules, **changes: Any) -> SessionOptions:
    """Return the options of the official evaluation: no post-processing, no overlapping masks.

    In data sets with a file per object (SA-V), masks may overlap.

    Args:
        rules: Rules of the data set.
        **changes: Options to change, such as the memory policy.

    Raises:
        SessionError: There is no such option, or its value is impossible.

    Source: tools/vos_inference.py:416-452 @ 2b90b9f.
    """
    return SessionOptions.preset(
        "official",
        apply_postprocessing=False,
        **{"non_overlap_masks": not rules.per_object, "keep": "window", **changes},
    )


def track_video(
    video: LabeledVideo,
    model: Sam2VideoModel,
    prompt: Prompt = "mask",
    options: SessionOptions | None = None,
) -> Iterator[FrameResult]:
    """Prompt every object on its first frame, and track all to the end.

    Args:
        video: The video.
        model: The model, in eval mode.
        prompt: Kind of prompt.
        options: Options of the session; those of the official evaluation if None.

    Returns:
        The result of every frame from the first prompt on, in temporal order. An object is included
        from its own first frame on.

    Raises:
        DataError: A frame or a mask cannot be read, or an object is not visible where it is
            prompted.
    """
    given = video.given
    starts = sorted(set(given.values()))
    options = options or session_options(video.rules)
    with Sam2VideoInferenceSession.open(Pictures(video), model, options=options) as session:
        for start, end in zip(starts, [*starts[1:], video.num_frames], strict=True):
            truth = video.masks(start)
            here = {number: truth[number] for number in given if given[number] == start}
            try:
                give(session, start, here, prompt)
            except DataError as error:
                raise DataError(
                    f"{video.name}: {error} Fix its masks, or leave it out: --videos names those "
                    "to take."
                ) from error
            yield from session.propagate(start, limit=end - start)
