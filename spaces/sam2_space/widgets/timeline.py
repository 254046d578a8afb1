"""Timeline of a video: thumbnails, and where prompts and doubtful frames are.

Both rows are pictures of what the frame slider and the review list offer as controls; a click on
them, answered by `page.js`, shows a frame.
"""

import base64
import html
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NUM_THUMBS = 12
THUMB_HEIGHT = 54  # pixels
QUALITY = 70  # of a JPEG
LEGEND = (
    '<span class="legend note" id="video-legend"><i class="prompt"></i>prompts'
    '<i class="doubt"></i>doubtful frames<i class="tracked"></i>tracked. '
    "Arrow keys step 1 frame, with Shift 10.</span>"
)


def thumb_frames(num_frames: int) -> list[int]:
    """List the frames of the thumbnails: the middle of each of equally long parts."""
    count = min(NUM_THUMBS, num_frames)
    return [int((part + 0.5) * num_frames / count) for part in range(count)]


def thumbs(pictures: Iterable[NDArray[np.uint8]]) -> str:
    """Make the row of thumbnails.

    Args:
        pictures: `(height, width, 3)` each.
    """
    images = "".join(f'<img alt="" src="{_thumb(picture_hw3)}">' for picture_hw3 in pictures)
    return f'<div class="thumbs" aria-hidden="true">{images}</div>'


def marks(
    num_frames: int,
    frame: int,
    tracked: Iterable[int],
    prompted: Iterable[int],
    doubtful: Mapping[int, str],
) -> str:
    """Make the row of marks.

    Args:
        num_frames: Frames of the video.
        frame: The frame that is shown.
        tracked: Frames that have masks.
        prompted: Frames that have prompts.
        doubtful: Reason by frame.
    """
    last = max(num_frames - 1, 1)

    def mark(kind: str, at: int, why: str) -> str:
        place = f'data-mark="{at}" style="left:{100 * at / last:.2f}%"'
        return f'<span class="{kind}" {place} title="{html.escape(why)}"></span>'

    prompts = sorted(set(prompted))
    shown = [
        f'<span class="tracked" style="left:{100 * first / last:.2f}%;'
        f'width:{100 * (end - first) / last:.2f}%"></span>'
        for first, end in _runs(tracked)
    ]
    shown += [mark("prompt", at, f"frame {at}: prompts") for at in prompts]
    shown += [mark("doubt", at, why) for at, why in doubtful.items()]
    shown.append(f'<span class="now" style="left:{100 * frame / last:.2f}%"></span>')
    label = f"Timeline: frame {frame} of {last}. {_listed('Prompts', prompts)}"
    label += f" {_listed('Doubtful', sorted(doubtful))}"
    return (
        f'<div class="marks" role="img" aria-label="{label}" data-frame="{frame}" '
        f'data-frames="{num_frames}">{"".join(shown)}</div>'
    )


def _listed(what: str, frames: list[int]) -> str:
    return f"{what} on frames {', '.join(map(str, frames))}." if frames else f"{what}: none."


def _runs(frames: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Group frames into unbroken runs: first and last of each."""
    ordered = sorted(set(frames))
    if not ordered:
        return
    first = ordered[0]
    for before, after in pairwise(ordered):
        if after != before + 1:
            yield first, before
            first = after
    yield first, ordered[-1]


def _thumb(picture_hw3: NDArray[np.uint8]) -> str:
    height, width = picture_hw3.shape[:2]
    size = max(1, round(width * THUMB_HEIGHT / height)), THUMB_HEIGHT
    buffer = io.BytesIO()
    Image.fromarray(picture_hw3).resize(size, Image.Resampling.BOX).save(
        buffer, format="JPEG", quality=QUALITY
    )
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
