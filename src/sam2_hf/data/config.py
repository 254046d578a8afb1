"""Configuration of training data: sources, their mixture, and augmentation. Plain values only.

A recipe file has fields of the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sam2_hf.errors import TrainingError

Range = tuple[float, float]
COLORS = ("brightness", "contrast", "saturation", "hue")

HALF_CIRCLE = 0.5  # of hue: no color is farther away


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Augmentation of a clip, drawn once for all frames. Defaults are the original's for MOSE.

    Colors change whenever their amount is not 0: a brightness of 0.1 draws a factor from 0.9 to
    1.1.

    Args:
        horizontal_flip: Probability of mirroring left and right.
        vertical_flip: Probability of mirroring top and bottom.
        degrees: Largest rotation to either side, in degrees.
        shear: Largest shear to either side, in degrees.
        zoom: Smallest and largest magnification. Above 1 a part of the picture fills the input,
            below 1 the picture has a margin. `(1, 1)` shows the whole picture.
        zoom_on_object: Probability that a zoom targets one of the objects.
        stretch: Largest change of the aspect ratio; 1 for none.
        brightness: The same for all frames.
        contrast: The same for all frames.
        saturation: The same for all frames.
        hue: The same for all frames, as a fraction of the color circle, up to 0.5.
        frame_brightness: In addition, drawn for each frame.
        frame_contrast: In addition, drawn for each frame.
        frame_saturation: In addition, drawn for each frame.
        frame_hue: In addition, drawn for each frame.
        grayscale: Probability of making all frames gray.
        mosaic: Probability of showing the clip four times, two by two, with the masks of one copy.

    Source: sam2/configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml:24-52 @ 2b90b9f.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    degrees: float = 25.0
    shear: float = 20.0
    zoom: Range = (1.0, 1.0)
    zoom_on_object: float = 0.5
    stretch: float = 1.0
    brightness: float = 0.1
    contrast: float = 0.03
    saturation: float = 0.03
    hue: float = 0.0
    frame_brightness: float = 0.1
    frame_contrast: float = 0.05
    frame_saturation: float = 0.05
    frame_hue: float = 0.0
    grayscale: float = 0.05
    mosaic: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.zoom
        if not 0 < low <= high:
            raise TrainingError(f"zoom={self.zoom} must be two factors above 0, the smaller first.")
        if self.stretch < 1:
            raise TrainingError(f"stretch={self.stretch} must be 1 or more; 1 keeps the sides.")
        for name in ("horizontal_flip", "vertical_flip", "zoom_on_object", "grayscale", "mosaic"):
            _require_share(name, getattr(self, name))
        for name in ("degrees", "shear", *COLORS, *(f"frame_{color}" for color in COLORS)):
            value = getattr(self, name)
            if value < 0:
                raise TrainingError(f"{name}={value} must be 0 or more; 0 changes nothing.")
        for name in ("hue", "frame_hue"):
            value = getattr(self, name)
            if value > HALF_CIRCLE:
                raise TrainingError(f"{name}={value} must be at most {HALF_CIRCLE}, half a circle.")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A data source: photos or videos of one kind, and how clips are sampled from them.

    Args:
        kind: Layout on disk; see `training/dataset_registry.py`.
        path: Folder or file; for the kind "hub" also the id of a data set.
        name: Name in reports; kind and path by default.
        weight: How often a step uses this source, relative to the others.
        batch_size: Clips per step, over all processes and accumulated micro-batches.
        num_frames: Frames per clip; 1 for photos, 0 for whole sequences.
        max_objects: Maximum number of objects per clip; 0 for all.
        frame_step: Smallest and largest distance of two frames of a clip, in annotated frames.
        reverse: Probability that time runs backward.
        only: Names of photos or sequences to take, also with `*`; or the path of a `.txt` file
            with a name in each line. Empty takes all.
        exclude: Names to skip, in the same form.
        repeat: How often each item is used per epoch.
        min_area: Smallest area of an object on the first frame, as a fraction of the picture.
        max_area: Largest area, as a fraction of the picture.
        unions: Maximum number of unions of touching labels of a photo that count as objects as
            well: the whole foreground, and unions of two to four labels.
        starts_at: Fraction of the run after which the source is used.
        augment: Augmentation of clips; None only resizes them.
        options: Options of this kind; see its reader.
    """

    kind: str
    path: str = ""
    name: str = ""
    weight: float = 1.0
    batch_size: int = 8
    num_frames: int = 1
    max_objects: int = 3
    frame_step: tuple[int, int] = (1, 1)
    reverse: float = 0.0
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    repeat: int = 1
    min_area: float = 0.0
    max_area: float = 1.0
    unions: int = 0
    starts_at: float = 0.0
    augment: Augmentation | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.frame_step
        if not 1 <= low <= high:
            raise TrainingError(
                f"frame_step={self.frame_step} must be two distances of 1 or more, the smaller "
                "first; (1, 1) takes neighbors."
            )
        counts = (self.num_frames, self.max_objects, self.unions)
        if min(self.batch_size, self.repeat) < 1 or min(counts) < 0:
            raise TrainingError(
                f"batch_size={self.batch_size} and repeat={self.repeat} must be 1 or more, "
                f"num_frames={self.num_frames}, max_objects={self.max_objects} and "
                f"unions={self.unions} 0 or more."
            )
        if self.weight < 0:
            raise TrainingError(f"weight={self.weight} must be 0 or more.")
        for name in ("reverse", "min_area", "max_area", "starts_at"):
            _require_share(name, getattr(self, name))

    @property
    def label(self) -> str:
        """Name of the source in reports and messages."""
        return self.name or f"{self.kind}:{self.path}".rstrip(":")


@dataclass(frozen=True, slots=True)
class DataMixture:
    """A weighted mixture of sources.

    Args:
        sources: At least one.
        image_size: Rows and columns of the model's input, in pixels.
        seed: Seed of everything drawn.
        num_steps: Steps of the whole run, which `starts_at` is a fraction of; 0 uses every source
            from the beginning.
        on_bad_data: "skip" takes another item and reports it; "raise" ends the run.
    """

    sources: tuple[SourceConfig, ...]
    image_size: int
    seed: int = 0
    num_steps: int = 0
    on_bad_data: Literal["skip", "raise"] = "skip"

    def __post_init__(self) -> None:
        if self.image_size < 2 or self.image_size % 2:
            raise TrainingError(f"image_size={self.image_size} must be an even number of pixels.")
        if self.seed < 0:
            raise TrainingError(f"seed={self.seed} must be 0 or more.")
        if self.on_bad_data not in ("skip", "raise"):
            raise TrainingError(f'on_bad_data="{self.on_bad_data}" must be "skip" or "raise".')
        drawn = [source for source in self.sources if source.weight > 0]
        if not drawn:
            raise TrainingError(
                f"none of the {len(self.sources)} data sources has a weight above 0, so there is "
                "nothing to train on. Give at least one source."
            )
        if self.num_steps and all(source.starts_at > 0 for source in drawn):
            raise TrainingError(
                f"starts_at of every data source is above 0 ({drawn[0].label}: "
                f"{drawn[0].starts_at}), so there is nothing to begin with. At least one source "
                "must start at 0."
            )


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise TrainingError(f"{name}={value} must be from 0 to 1.")
