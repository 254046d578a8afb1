"""Prompts of `sam2-hf track`: checked against the video, added to a session, drawn.

Suffixes: h, w = rows and columns in pixels of the video.
"""

import argparse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.cli.argument_types import BoxPrompt, ClickPrompt
from sam2_hf.cli.save_options import names_by_id
from sam2_hf.errors import FrameError, ImageError, PromptError
from sam2_hf.frames.preprocessing import to_picture
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.picture_files import file_problem
from sam2_hf.processing.images import NUMERIC_MODES
from sam2_hf.processing.prompt_reading import Click, check_clicks, read_box
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.session import VideoSession

BRIGHT = 0.5  # of the brightest pixel; above it a pixel of a mask picture is the object
DARK = 0.2  # of the brightest pixel; only soft edges lie between dark and bright
MOST_BETWEEN = 0.25  # share of a mask's pixels; photos have more
LEAST_WHITE, MOST_LABELS = 128, 32  # a few whole numbers that are all smaller are labels


@dataclass(frozen=True, slots=True, eq=False)
class GivenMask:
    """A mask read from a picture."""

    frame: int
    object_id: int
    file: Path
    mask_hw: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GivenReference:
    """Another picture of an object, and its mask there."""

    picture: Path
    mask: Path
    object_id: int
    mask_hw: NDArray[np.bool_]

    def check(self) -> None:
        """Check picture and mask against each other.

        Raises:
            ImageError: The picture cannot be read.
            PromptError: The mask has another size.
        """
        size, found = to_picture(self.picture).shape[:2], self.mask_hw.shape
        if found != size:
            raise PromptError(
                f"the mask {self.mask} is {found[1]} x {found[0]} pixels, {self.picture} is "
                f"{size[1]} x {size[0]} (width x height). Resize it without smoothing."
            )

    def described(self) -> str:
        """Describe it as text that identifies it, by the content of both files."""
        content = zlib.crc32(np.packbits(self.mask_hw).tobytes(), zlib.crc32(_bytes(self.picture)))
        names = f"{self.picture.name}:{self.mask.name}:{self.object_id}"
        return f"--reference {names} (pixels {content:08x})"


@dataclass(frozen=True, slots=True)
class FoundBox:
    """A box in which `--text` found an object.

    Attributes:
        frame: The frame.
        object_id: The id that the object got.
        box: `(x0, y0, x1, y1)`, pixels.
        name: What it is.
    """

    frame: int
    object_id: int
    box: tuple[float, float, float, float]
    name: str

    @classmethod
    def from_fields(cls, content: object) -> "FoundBox":
        """Restore one from JSON of `asdict`.

        Raises:
            ValueError: It has another form.
        """
        fields: dict[str, Any] = content if isinstance(content, dict) else {}
        values = [fields.get(name) for name in ("frame", "object_id", "box", "name")]
        if [type(value) for value in values] != [int, int, list, str]:
            raise ValueError(f"{content!r:.80} is not a box that was found")
        box = read_box(fields["box"], None, "the object")
        return cls(fields["frame"], fields["object_id"], box, fields["name"])

    def as_prompt(self) -> VideoPrompt:
        """Return it as a prompt of a session."""
        return VideoPrompt(self.frame, self.object_id, box=self.box, name=self.name)


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """What `--text` looks for.

    Attributes:
        labels: The names.
        every: Frames between two detections; None detects on the first frame only.
        settings: Detector and threshold, as text.
    """

    labels: tuple[str, ...]
    every: int | None
    settings: str

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "TextPrompt | None":
        """Read the options of `--text`; None if it is not given."""
        if not arguments.text:
            return None
        options = {
            "--detector": arguments.detector,
            "--detection-threshold": arguments.detection_threshold,
            "--detect-every": arguments.detect_every,
        }
        given = [f"{flag} {value}" for flag, value in options.items() if value is not None]
        return cls(tuple(arguments.text), arguments.detect_every or None, " ".join(given))

    def described(self) -> tuple[str, ...]:
        """Describe each name and the settings as text that identifies it."""
        return (*(f"--text {label!r}" for label in self.labels), self.settings)


@dataclass(frozen=True, slots=True, eq=False)
class VideoPrompts:
    """All prompts of the command line.

    Attributes:
        clicks: In the order they were given.
        boxes: In the order they were given.
        masks: In the order they were given.
        names: Names of objects, by id.
        text: What to look for instead; None if objects are pointed at.
        references: Objects in other pictures, in the order they were given.
    """

    clicks: tuple[ClickPrompt, ...]
    boxes: tuple[BoxPrompt, ...]
    masks: tuple[GivenMask, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    text: TextPrompt | None = None
    references: tuple[GivenReference, ...] = ()

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "VideoPrompts":
        """Collect the prompts, reading the masks.

        Raises:
            PromptError: A name is for another object, or a mask is empty.
            ImageError: A mask cannot be read.
        """
        masks = [
            GivenMask(
                mask.frame, mask.object_id, mask.file, read_mask_picture(mask.file, mask.object_id)
            )
            for mask in arguments.masks
        ]
        references = tuple(
            GivenReference(picture, mask, object_id, read_mask_picture(mask, object_id))
            for picture, mask, object_id in arguments.references
        )
        clicks, boxes = tuple(arguments.clicks), tuple(arguments.boxes)
        prompts = cls(clicks, boxes, tuple(masks), references=references)
        names = names_by_id(arguments.names, prompts.object_ids)
        return replace(prompts, names=names, text=TextPrompt.from_arguments(arguments))

    def with_found(self, found: Sequence[FoundBox]) -> "VideoPrompts":
        """Add boxes in which `--text` found objects."""
        boxes = tuple(BoxPrompt(item.frame, item.object_id, item.box) for item in found)
        names = {item.object_id: item.name for item in found}
        return replace(self, boxes=self.boxes + boxes, names={**self.names, **names})

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Every object, in order."""
        known = {reference.object_id for reference in self.references}
        return tuple(sorted({object_id for _, object_id in self._places()} | known))

    @property
    def frames(self) -> tuple[int, ...]:
        """Every frame with a prompt, in order; names are looked for from the first on."""
        first = set() if self.text is None else {0}
        return tuple(sorted({frame for frame, _ in self._places()} | first))

    def check(self, size: tuple[int, int], num_frames: int, video: str) -> None:
        """Check against the video.

        Args:
            size: `(height, width)`.
            num_frames: Its number of frames.
            video: Its name in messages.

        Raises:
            FrameError: A frame is beyond the end.
            PromptError: A click or box lies outside, or a mask has another size.
            ImageError: The picture of a reference cannot be read.
        """
        for frame in self.frames:
            if frame >= num_frames:
                raise FrameError(
                    f"a prompt is for frame {frame}, but {video} has {num_frames} frame(s): "
                    f"0 to {num_frames - 1}."
                )
        for frame, object_id, (x, y, positive) in self.clicks:
            click = Click((x, y), positive=positive)
            check_clicks([click], size, f"object {object_id} on frame {frame}")
        for frame, object_id, box in self.boxes:
            read_box(box, size, f"object {object_id} on frame {frame}")
        for mask in self.masks:
            if mask.mask_hw.shape != size:
                raise PromptError(
                    f"the mask {mask.file} is {mask.mask_hw.shape[1]} x {mask.mask_hw.shape[0]} "
                    f"pixels, {video} is {size[1]} x {size[0]} (width x height). "
                    "Resize it without smoothing."
                )
        for reference in self.references:
            reference.check()

    def give_references_to(self, session: VideoSession) -> None:
        """Add all references to a session.

        Raises:
            ImageError: A picture cannot be read.
            PromptError: A mask has another size than its picture.
        """
        for reference in self.references:
            session.reference(reference.picture, reference.mask_hw, reference.object_id)

    def give_to(self, session: VideoSession) -> None:
        """Add all prompts to a session: masks, boxes, then clicks grouped by object and frame."""
        for mask in self.masks:
            session.mask(mask.frame, mask.object_id, mask.mask_hw)
        for frame, object_id, box in self.boxes:
            session.box(frame, object_id, box)
        for frame, object_id in dict.fromkeys(click[:2] for click in self.clicks):
            clicks = [prompt.click for prompt in self.clicks if prompt[:2] == (frame, object_id)]
            points = [(x, y) for x, y, _ in clicks]
            session.click(frame, object_id, points, positive=[sign for _, _, sign in clicks])

    def drawn_on(self, frame: int) -> DrawnPrompts | None:
        """Return the prompts to draw on a frame; None if there are none."""
        clicks = tuple(prompt.click for prompt in self.clicks if prompt.frame == frame)
        boxes = tuple(prompt.box for prompt in self.boxes if prompt.frame == frame)
        return DrawnPrompts(clicks, boxes) if clicks or boxes else None

    def by_object(self) -> dict[int, list[dict[str, Any]]]:
        """Describe the prompts of each object, for the results: one entry for each frame."""
        described: dict[int, list[dict[str, Any]]] = {}
        for frame, object_id in sorted(self._places()):
            place = (frame, object_id)
            clicks = [prompt.click for prompt in self.clicks if prompt[:2] == place]
            boxes = [list(prompt.box) for prompt in self.boxes if prompt[:2] == place]
            has_mask = any((mask.frame, mask.object_id) == place for mask in self.masks)
            entry = {
                "frame": frame,
                "points": [[x, y, int(positive)] for x, y, positive in clicks],
                "boxes": boxes,
                "has_mask": has_mask,
            }
            described.setdefault(object_id, []).append(entry)
        return described

    def described(self) -> tuple[str, ...]:
        """Describe each prompt as text that identifies it; a mask by its pixels."""
        texts = [
            f"--click {frame}:{object_id}:{x:g},{y:g}{'' if positive else ',-'}"
            for frame, object_id, (x, y, positive) in self.clicks
        ]
        texts += [
            f"--box {frame}:{object_id}:{','.join(f'{value:g}' for value in box)}"
            for frame, object_id, box in self.boxes
        ]
        for mask in self.masks:
            pixels = zlib.crc32(np.packbits(mask.mask_hw).tobytes())
            texts.append(
                f"--mask {mask.frame}:{mask.object_id}:{mask.file.name} (pixels {pixels:08x})"
            )
        texts += [reference.described() for reference in self.references]
        return (*texts, *(() if self.text is None else self.text.described()))

    def _places(self) -> set[tuple[int, int]]:
        """Frames and objects with a prompt."""
        places = {prompt[:2] for prompt in (*self.clicks, *self.boxes)}
        return places | {(mask.frame, mask.object_id) for mask in self.masks}


def _bytes(file: Path) -> bytes:
    """Read a file.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"{file} cannot be read: {error.strerror or error}.") from error


def read_mask_picture(file: Path, object_id: int) -> NDArray[np.bool_]:
    """Read a mask: label `object_id` of a picture with several labels, else bright pixels.

    A palette picture has labels, and so has one of a few small whole numbers.

    Args:
        file: Any picture that Pillow reads.
        object_id: The object.

    Raises:
        ImageError: It cannot be read, is a photo, or has several labels without this one.
        PromptError: No pixel belongs to the object.
    """
    problem = file_problem(file, "mask file")
    if problem:
        raise ImageError(problem)
    try:
        with Image.open(file) as picture:
            is_labels = picture.mode == "P"
            # Pillow's conversion clips deep values, which would make all of them bright.
            is_exact = picture.format != "JPEG"
            keeps_values = is_labels or picture.mode in NUMERIC_MODES
            values_hw = np.asarray(picture if keeps_values else picture.convert("L"))
    except Exception as error:  # Pillow's readers raise many types for damaged files
        raise ImageError(f"{file} cannot be read as a mask: {error}. Give a PNG.") from error
    if not np.isfinite(values_hw).all():
        raise ImageError(f"the mask {file} has values that are not finite. Paint the object white.")
    if not values_hw.any():
        raise PromptError(f"the mask {file} is empty: every pixel is 0. Paint the object white.")
    is_labels = is_labels or (is_exact and _are_labels(values_hw))
    labels = [int(label) for label in np.unique(values_hw) if label] if is_labels else []
    if len(labels) > 1 and object_id not in labels:
        raise ImageError(
            f"{file} has the labels {', '.join(map(str, labels))}, but not {object_id}. "
            "A mask with several labels needs one of them as the number of the object."
        )
    if len(labels) > 1:
        return values_hw == object_id
    if is_labels:
        return values_hw > 0
    return _bright(values_hw, file)


def _are_labels(values_hw: NDArray[np.generic]) -> bool:
    """Whether numbers are labels, not shades: a few small whole ones."""
    if values_hw.dtype.kind not in "iu" or values_hw.max() >= LEAST_WHITE:
        return False
    values = np.unique(values_hw)
    return int(values[0]) >= 0 and len(values) <= MOST_LABELS


def _bright(values_hw: NDArray[np.generic], file: Path) -> NDArray[np.bool_]:
    """Return the bright part of a mask picture.

    Raises:
        ImageError: It is a photo.
    """
    shares_hw = values_hw / values_hw.max()
    between = float(((shares_hw > DARK) & (shares_hw < 1 - DARK)).mean())
    if between > MOST_BETWEEN:
        raise ImageError(
            f"{file} is a photo, not a mask: {between:.0%} of its pixels are neither dark nor "
            "bright. Give a picture in which the object is white and the rest is black."
        )
    return shares_hw > BRIGHT
