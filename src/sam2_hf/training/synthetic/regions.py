"""Plain regions: pictures that teach a model from scratch what a click means.

On photos a click's position alone explains much of a mask, so an untrained model learns position,
and nothing else for a long time. Here regions have random outlines and one color each, so a mask is
only predictable from the color at the click. The source is endless; a picture of 128 pixels takes
about 10 ms on one core.

Suffixes: k = regions, h, w = rows and columns, 2 = row and column, 3 = red, green, blue.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from sam2_hf.data.annotated_video import AnnotatedVideo, ClipRecording
from sam2_hf.data.clip import Clip
from sam2_hf.data.clip_sampling import sample_clip
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.dataset import ClipDataset, fingerprint
from sam2_hf.data.folders import check_options
from sam2_hf.errors import DataError

MOST_CELLS, MOST_PATCHES = (3, 9), (0, 5)  # from, below
REACH = 0.09  # of the squared side: variation of cell sizes

ROUND, SQUARE = 2, 8  # powers of an ellipse and of nearly a rectangle
BYTE = 255.0

GRAIN, NOISE = 25.0, 10.0  # maximum deviations, of 255

SPEED, SPIN = 0.04, 0.15  # maxima: sides of the picture and radians per frame
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Regions:
    """Random geometry of a clip. Coordinates are fractions of the side.

    Attributes:
        cells_k2: Centers of cells.
        reach_k: Size offset of each.
        patches_k2: Centers of patches on top.
        axes_k2: Their half axes.
        angles_k: Their rotation, radians.
        powers_k: Exponents of their outlines, 2 for ellipses.
        speed_k2: Of all cells and patches, per frame.
        spin_k: Of patches, per frame.
        bend_2hw: Displacement of outlines.
    """

    cells_k2: Floats
    reach_k: Floats
    patches_k2: Floats
    axes_k2: Floats
    angles_k: Floats
    powers_k: NDArray[np.int64]
    speed_k2: Floats
    spin_k: Floats
    bend_2hw: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, side: int) -> Self:
        """Draw regions."""
        cells, patches = int(rng.integers(*MOST_CELLS)), int(rng.integers(*MOST_PATCHES))
        length = 0.08 * side
        bend_2hw = gaussian_filter(rng.normal(size=(2, side, side)), (0, length, length))
        return cls(
            cells_k2=rng.uniform(size=(cells, 2)),
            reach_k=rng.uniform(-REACH, REACH, cells),
            patches_k2=rng.uniform(size=(patches, 2)),
            axes_k2=rng.uniform(0.05, 0.28, (patches, 2)),
            angles_k=rng.uniform(0, np.pi, patches),
            powers_k=rng.choice((ROUND, SQUARE), patches),
            speed_k2=rng.uniform(-SPEED, SPEED, (cells + patches, 2)),
            spin_k=rng.uniform(-SPIN, SPIN, patches),
            bend_2hw=bend_2hw / bend_2hw.std() * rng.uniform(0, 0.08),
        )

    def labels(self, frame: int) -> NDArray[np.int64]:
        """Return the region of each pixel, `(h, w)`, cells before patches."""
        side = self.bend_2hw.shape[1]
        place_2hw = (np.indices((side, side)) + 0.5) / side + self.bend_2hw
        cells = len(self.cells_k2)
        moved_k2 = np.concatenate((self.cells_k2, self.patches_k2)) + frame * self.speed_k2
        off_k2hw = place_2hw - moved_k2[..., None, None]
        distance_khw = (off_k2hw[:cells] ** 2).sum(axis=1) - self.reach_k[:, None, None]
        labels_hw = distance_khw.argmin(axis=0)
        for patch, (down_hw, right_hw) in enumerate(off_k2hw[cells:]):
            angle, power = self.angles_k[patch] + frame * self.spin_k[patch], self.powers_k[patch]
            along_hw = np.cos(angle) * right_hw + np.sin(angle) * down_hw
            across_hw = np.cos(angle) * down_hw - np.sin(angle) * right_hw
            long, short = self.axes_k2[patch]
            inside_hw = np.abs(along_hw / long) ** power + (across_hw / short) ** 2 < 1
            labels_hw[inside_hw] = cells + patch
        return labels_hw


def region_clip(rng: np.random.Generator, side: int, num_frames: int = 1) -> Clip:
    """Make a picture of plain regions, or a clip in which they move.

    Args:
        rng: Random generator; the same state gives the same clip.
        side: Of the square picture, pixels.
        num_frames: 1 for a picture.

    Returns:
        Frames `(t, side, side, 3)` uint8 and masks `(o, t, side, side)`; every pixel of the first
        frame is labeled; regions that appear later are not.
    """
    regions = _Regions.draw(rng, side)
    labels = [regions.labels(frame) for frame in range(num_frames)]
    shown = np.unique(labels[0])
    grain_hw = rng.normal(size=(side, side))
    surfaces_k3hw = [_surface(rng, grain_hw) for _ in range(len(regions.speed_k2))]
    blur = rng.uniform(0, 1.0)
    noise = rng.uniform(0, NOISE)
    frames = []
    for labels_hw in labels:
        picture_3hw = np.empty((3, side, side))
        for number in np.unique(labels_hw):
            inside_hw = labels_hw == number
            picture_3hw[:, inside_hw] = surfaces_k3hw[number][:, inside_hw]
        picture_3hw = gaussian_filter(picture_3hw, (0, blur, blur))
        picture_3hw += noise * rng.standard_normal(picture_3hw.shape, np.float32)
        frames.append(picture_3hw.clip(0, BYTE).astype(np.uint8).transpose(1, 2, 0))
    masks = np.stack([[labels_hw == number for labels_hw in labels] for number in shown])
    return Clip(np.ascontiguousarray(np.stack(frames)), masks, "regions")


def _surface(rng: np.random.Generator, noise_hw: Floats) -> Floats:
    """Draw a surface: a color gradient with grain, `(3, h, w)`, 0 to 255."""
    side = len(noise_hw)
    color_3, slope_23 = rng.uniform(0, BYTE, 3), rng.normal(size=(2, 3)) * rng.uniform(0, 0.25)
    grain_hw = uniform_filter(noise_hw, int(rng.integers(1, 9)), mode="wrap")
    grain_hw *= rng.uniform(0, GRAIN) / grain_hw.std()
    place_2hw = np.indices((side, side)) * (BYTE / 2 / side)
    return color_3[:, None, None] + np.tensordot(slope_23.T, place_2hw, 1) + grain_hw


LENGTH = 2**20  # clips of an epoch, all different
SIDE = 256  # pixels, by default
USUAL_FRAMES = 8  # if num_frames is 0


class RegionsSource(ClipDataset):
    """Pictures, or clips with `num_frames` above 1, each made from its random generator.

    Args:
        config: Without path and options.

    Raises:
        DataError: It has a path or options.
    """

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        check_options(config, ())
        if config.path:
            raise DataError(
                f"{config.label}: the kind regions is procedural, so it takes no path. "
                "Leave it out, or choose the kind synthetic, which uses photos."
            )

    def __len__(self) -> int:
        return LENGTH

    def name(self, item: int) -> str:
        """See [`ClipDataset.name`]."""
        return f"regions {item}"

    def fingerprint(self) -> str:
        """See [`ClipDataset.fingerprint`]; constant, since there is no data."""
        return fingerprint(())

    def recording(self, item: int, rng: np.random.Generator | None = None) -> AnnotatedVideo:
        """Make a clip; without `rng` it is determined by the item."""
        return self._recording(rng or np.random.default_rng(item), SIDE)

    def draw_clip(self, item: int, image_size: int, rng: np.random.Generator) -> Clip:
        """Make a clip at the model's input size."""
        return sample_clip(self._recording(rng, image_size), self.config, image_size, rng)

    def _recording(self, rng: np.random.Generator, side: int) -> AnnotatedVideo:
        return ClipRecording(region_clip(rng, side, self.config.num_frames or USUAL_FRAMES))
