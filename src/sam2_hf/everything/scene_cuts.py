"""Scene cuts of a video, from small thumbnails.

The rule. Two frames differ by `D = sqrt(h * (1 - c))`, 0 to 1:

- `h` is the histogram distance: half the sum of absolute differences of two color histograms (4 x 4
  x 4 bins of red, green and blue) or of two histograms of luma (16 bins), whichever is larger.
- `c` is the likeness of what is seen where: both frames are shrunk to 48 x 32 cells of luma, less a
  Gaussian blur of 3 cells, which leaves structure without brightness; one is shifted over the other
  as long as they share at least 35 % of their area; `c` is the largest correlation.

A scene begins on a frame if each of the 7 frames from there on differs by `D >= 0.28` from each of
the 7 frames before, and the smallest of these differences is at least 1.4 times the motion around
it: the smaller `D` of the last two steps before and of the next two steps after, whichever side has
more.

So a flash of up to 6 frames is no cut, since the picture comes back; a pan is none, since frames
overlap; fast motion is none, since the steps around are as large. A longer blank screen is a scene.
Frames ahead are read only where two neighbors differ that much.

Suffixes: h, w = rows and columns of the thumbnail, 3 = red, green, blue.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from sam2_hf.errors import FrameError
from sam2_hf.frames.base import Frames

Map = NDArray[np.float64]

COLUMNS, ROWS = 48, 32  # of a thumbnail
BLUR = 3.0  # cells
LEAST_SHARED = 0.35  # fraction of the thumbnail under which shifts are not compared
FLAT = 0.15  # least variance of a shared part, fraction of the whole thumbnail's
REACH = 7  # frames before and after that are compared
LEAST_DIFFERENCE = 0.28
LEAST_RATIO = 1.4  # to the motion around
COLOR_BINS, LUMA_BINS = 4, 16
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
LEVELS = 256
PADDED = (fft.next_fast_len(2 * ROWS - 1), fft.next_fast_len(2 * COLUMNS - 1))


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """What is compared of a frame.

    Attributes:
        colors: Color histogram, sums to 1.
        lumas: Luma histogram, sums to 1.
        structure_hw: Luma without its blur.
    """

    colors: Map
    lumas: Map
    structure_hw: Map

    @classmethod
    def of(cls, picture_hw3: NDArray[np.uint8]) -> "Thumbnail":
        """Shrink a frame.

        Args:
            picture_hw3: `(height, width, 3)`, RGB.
        """
        picture = Image.fromarray(np.ascontiguousarray(picture_hw3))
        small_hw3 = np.asarray(picture.resize((COLUMNS, ROWS), Image.Resampling.BOX))
        luma_hw = small_hw3 @ np.array(LUMA)
        bins_hw3 = small_hw3.astype(int) * COLOR_BINS // LEVELS
        places_hw = bins_hw3 @ np.array([COLOR_BINS**2, COLOR_BINS, 1])
        return cls(
            _histogram(places_hw, COLOR_BINS**3),
            _histogram((luma_hw * LUMA_BINS / LEVELS).astype(int), LUMA_BINS),
            luma_hw - ndimage.gaussian_filter(luma_hw, BLUR),
        )

    def difference(self, other: "Thumbnail") -> float:
        """Measure how much two frames differ, 0 to 1; `D` of the rule."""
        distance = max(
            float(np.abs(self.colors - other.colors).sum()),
            float(np.abs(self.lumas - other.lumas).sum()),
        )
        if distance == 0:
            return 0.0
        likeness = best_correlation(self.structure_hw, other.structure_hw)
        return math.sqrt(distance / 2 * min(max(1 - likeness, 0.0), 1.0))


class SceneCuts:
    """Scene cuts of one video, decided frame by frame with a look ahead of a few frames.

    Args:
        frames: The video.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._thumbnails: dict[int, Thumbnail] = {}
        self._differences: dict[tuple[int, int], float] = {}

    def begins_scene(self, frame: int) -> bool:
        """Whether a scene begins on a frame; the first frame of the video begins one.

        Frames ahead that cannot be read count as the end of the video.

        Raises:
            FrameError: The frame itself, or one shortly before, cannot be read.
        """
        if frame == 0:
            return True
        self._forget_before(frame - REACH - 1)
        if self._difference(frame - 1, frame) < LEAST_DIFFERENCE:
            return False
        before = range(max(0, frame - REACH), frame)
        after = self._readable(range(frame, frame + REACH))
        smallest = min(self._difference(early, late) for early in before for late in after)
        return smallest >= max(LEAST_DIFFERENCE, LEAST_RATIO * self._motion(frame, after[-1]))

    def _motion(self, frame: int, last: int) -> float:
        """Measure the motion around a possible cut."""
        before = [self._difference(late - 1, late) for late in (frame - 2, frame - 1) if late > 0]
        after = [
            self._difference(late - 1, late) for late in (frame + 1, frame + 2) if late <= last
        ]
        return max(min(before, default=0.0), min(after, default=0.0))

    def _difference(self, early: int, late: int) -> float:
        pair = early, late
        if pair not in self._differences:
            self._differences[pair] = self._thumbnail(early).difference(self._thumbnail(late))
        return self._differences[pair]

    def _thumbnail(self, frame: int) -> Thumbnail:
        if frame not in self._thumbnails:
            self._thumbnails[frame] = Thumbnail.of(self._frames.picture(frame))
        return self._thumbnails[frame]

    def _readable(self, frames: range) -> list[int]:
        """List the frames up to the first that cannot be read; the first one always is."""
        readable = [frames[0]]
        for frame in frames[1:]:
            if not self._frames.reaches(frame):
                break
            try:
                self._thumbnail(frame)
            except FrameError:
                break
            readable.append(frame)
        return readable

    def _forget_before(self, first: int) -> None:
        for frame in [known for known in self._thumbnails if known < first]:
            del self._thumbnails[frame]
        for pair in [known for known in self._differences if known[0] < first]:
            del self._differences[pair]


def find_scene_cuts(frames: Frames) -> Iterator[int]:
    """List the frames on which a scene begins, without the first of the video.

    Args:
        frames: The video; see [`open_frames`].

    Raises:
        FrameError: A frame cannot be read.

    Example:
        >>> from sam2_hf.frames.open import open_frames
        >>> with open_frames("clip.mp4", image_size=64) as frames:
        ...     cuts = list(find_scene_cuts(frames))
        >>> cuts
        []
    """
    cuts = SceneCuts(frames)
    frame = 1
    while frames.reaches(frame):
        if cuts.begins_scene(frame):
            yield frame
        frame += 1


def best_correlation(first_hw: Map, second_hw: Map) -> float:
    """Return the largest correlation of two maps over all shifts that share enough area, -1 to 1.

    The mean of the shared part is subtracted. Parts that are flatter than `FLAT` of the whole map
    count as that flat, so that noise in an even region does not correlate.
    """
    first, second = first_hw - first_hw.mean(), second_hw - second_hw.mean()
    count, ones = _shared_counts()
    spectra = [fft.rfft2(values, PADDED) for values in (first, first**2)]
    turned = [fft.rfft2(values[::-1, ::-1], PADDED) for values in (second, second**2)]
    # sums over the shared part, for each shift
    sum_first, square_first = (_back(spectrum * ones) for spectrum in spectra)
    sum_second, square_second = (_back(ones * spectrum) for spectrum in turned)
    product = _back(spectra[0] * turned[0]) - sum_first * sum_second / count
    variance_first = np.maximum(square_first - sum_first**2 / count, FLAT * count * first.var())
    variance_second = np.maximum(square_second - sum_second**2 / count, FLAT * count * second.var())
    scale = np.sqrt(variance_first * variance_second)
    correlation = np.where(scale > 0, product / np.maximum(scale, 1e-9), 0.0)
    return float(correlation[count >= LEAST_SHARED * first.size].max())


@cache
def _shared_counts() -> tuple[Map, NDArray[np.complex128]]:
    """Cells that the two maps share for each shift, and the spectrum of a map of ones."""
    spectrum = fft.rfft2(np.ones((ROWS, COLUMNS)), PADDED)
    return np.maximum(np.rint(_back(spectrum * spectrum)), 1), spectrum


def _back(spectrum: NDArray[np.complex128]) -> Map:
    return fft.irfft2(spectrum, PADDED)[: 2 * ROWS - 1, : 2 * COLUMNS - 1]


def _histogram(places: NDArray[np.int_], bins: int) -> Map:
    return np.bincount(places.ravel(), minlength=bins) / places.size
