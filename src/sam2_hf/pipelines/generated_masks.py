"""Results of mask generation: records of masks, and the list of them for one photo."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf import rle as run_lengths
from sam2_hf.open_vocabulary.labels import read_labels
from sam2_hf.open_vocabulary.mask_scorer import Scorer, name_masks
from sam2_hf.results.found_object import FoundObject, LazyMasks, Origin
from sam2_hf.results.picture_masks import PictureMasks
from sam2_hf.rle import CocoRle, Rle

from .everything_options import EverythingOptions, OutputMode

Xywh = tuple[float, float, float, float]
Column = Any  # a list of masks or of run lengths, or a tensor


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedMask:
    """One generated mask; pixels are those of the photo.

    Attributes:
        rle: The mask as uncompressed run lengths.
        area: In pixels.
        bbox: `(x, y, width, height)` between the outermost pixels.
        predicted_iou: The model's estimate of the mask's quality, 0-1.
        point_coords: The click of the mask, `((x, y),)`.
        stability_score: IoU of the mask at a higher and at a lower threshold, 0-1.
        crop_box: `(x, y, width, height)` of the crop it was found in.
    """

    rle: Rle
    area: int
    bbox: Xywh
    predicted_iou: float
    point_coords: tuple[tuple[float, float], ...]
    stability_score: float
    crop_box: Xywh

    @property
    def segmentation(self) -> NDArray[np.bool_]:
        """The mask, `(height, width)` bool, decoded at each access."""
        return run_lengths.decode(self.rle)

    @property
    def coco_rle(self) -> CocoRle:
        """The mask as COCO's compressed run lengths."""
        return run_lengths.to_coco(self.rle)

    def as_record(self, output_mode: OutputMode = "binary_mask") -> dict[str, Any]:
        """Return the original generator's dictionary of a mask.

        Args:
            output_mode: Type of "segmentation": a bool array, run lengths, or COCO's.
        """
        if output_mode == "binary_mask":
            segmentation: Any = self.segmentation
        else:
            segmentation = self.rle if output_mode == "uncompressed_rle" else self.coco_rle
        return {
            "segmentation": segmentation,
            "area": self.area,
            "bbox": list(self.bbox),
            "predicted_iou": self.predicted_iou,
            "point_coords": [list(xy) for xy in self.point_coords],
            "stability_score": self.stability_score,
            "crop_box": list(self.crop_box),
        }


class GeneratedMasks(Sequence[GeneratedMask], PictureMasks):
    """The masks of one photo: best predicted IoU first, or with crops, smaller crops first.

    A sequence of [`GeneratedMask`]; `["masks"]`, `["scores"]` and, if requested, `["rle_mask"]` and
    `["bounding_boxes"]` return the values of transformers' pipeline under these keys. `keys()`,
    `items()`, `get()` and `**` see these columns; `len` and iteration see the masks. `plot`, `save`
    and the like number the masks from 1.

    Args:
        masks: The masks.
        size: `(height, width)` of the photo.
        options: The options of the call.
        origin: Where the photo came from.
        names: Names of masks, by their number from 1.
        name_scores: How well they fit, 0-1, where a scorer found them.
    """

    IS_EVERYTHING = True

    def __init__(
        self,
        masks: Sequence[GeneratedMask],
        size: tuple[int, int],
        options: EverythingOptions,
        origin: Origin | None = None,
        names: Mapping[int, str] | None = None,
        name_scores: Mapping[int, float] | None = None,
    ) -> None:
        self.size = size
        self.options = options
        self.names = dict(names or {})
        self.name_scores = dict(name_scores or {})
        self._origin = origin
        self._masks = tuple(masks)

    @overload
    def __getitem__(self, key: int) -> GeneratedMask: ...
    @overload
    def __getitem__(self, key: slice) -> "GeneratedMasks": ...
    @overload
    def __getitem__(self, key: str) -> Column: ...
    def __getitem__(self, key: int | slice | str) -> Column:
        """Return a mask by number, some by a slice, or a column under transformers' name.

        Raises:
            KeyError: There is no such column, or it was not requested.
        """
        if isinstance(key, slice):
            places = {number: n for n, number in enumerate(range(1, len(self) + 1)[key], 1)}
            return GeneratedMasks(
                self._masks[key],
                self.size,
                self.options,
                self._origin,
                {places[number]: name for number, name in self.names.items() if number in places},
                {
                    places[number]: fit
                    for number, fit in self.name_scores.items()
                    if number in places
                },
            )
        if not isinstance(key, str):
            return self._masks[operator.index(key)]
        columns = self._columns()
        if key not in columns:
            raise KeyError(f"there is no {key!r}. Choose from: {', '.join(columns)}.")
        return columns[key]()

    def __contains__(self, key: object) -> bool:
        """Whether there is such a column, or such a mask."""
        return key in self._columns() if isinstance(key, str) else key in self._masks

    def __len__(self) -> int:
        return len(self._masks)

    def __iter__(self) -> Iterator[GeneratedMask]:
        return iter(self._masks)

    def __repr__(self) -> str:
        height, width = self.size
        return f"GeneratedMasks({len(self)} masks of a {width} x {height} photo)"

    @property
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` of the photo."""
        return self.size

    @property
    def picture_origin(self) -> Origin | None:
        """Where the photo came from; None if unknown."""
        return self._origin

    def named(self, names: Mapping[int, str]) -> "GeneratedMasks":
        """Return the same masks with names, by their number from 1.

        Example:
            >>> generate = MaskGenerationPipeline(image_model, points_per_side=2)
            >>> generate(photo, pred_iou_thresh=0.0).named({1: "cup"}).names
            {1: 'cup'}
        """
        known = {**self.names, **names}
        fits = {number: fit for number, fit in self.name_scores.items() if number not in names}
        return GeneratedMasks(self._masks, self.size, self.options, self._origin, known, fits)

    def named_by(
        self, scorer: Scorer, image: NDArray[np.uint8], labels: Sequence[str]
    ) -> "GeneratedMasks":
        """Return the same masks, each with the name that fits it best.

        Args:
            scorer: A [`ZeroShotScorer`] or another scorer.
            image: The photo, `(height, width, 3)`, RGB.
            labels: The names; a mask that none of them fits keeps the one it has.

        Raises:
            PromptError: There is no name, or one is given twice.
            DetectionError: The scorer failed, or its answer cannot be used.

        Example:
            >>> generate = MaskGenerationPipeline(image_model, points_per_side=2)
            >>> found = generate(photo, pred_iou_thresh=0.0, stability_score_thresh=0.0)
            >>> set(found.named_by(scorer, np.asarray(photo), ["cup", "spoon"]).names.values())
            {'cup'}
        """
        fits = name_masks(scorer, image, self.segmentations, read_labels(labels, "labels"))
        found = {number: fit for number, fit in enumerate(fits, 1) if fit is not None}
        named = self.named({number: label for number, (label, _) in found.items()})
        named.name_scores |= {number: score for number, (_, score) in found.items()}
        return named

    def found_objects(self) -> list[FoundObject]:
        """List the masks as objects, numbered from 1.

        Example:
            >>> generate = MaskGenerationPipeline(image_model, points_per_side=2)
            >>> found = generate(photo, pred_iou_thresh=0.0)
            >>> len(found.found_objects()) == len(found)
            True
        """
        return [
            FoundObject(
                number,
                mask.rle,
                mask.predicted_iou,
                self.names.get(number),
                {
                    "predicted_iou": mask.predicted_iou,
                    "stability_score": mask.stability_score,
                    "point_coords": mask.point_coords,
                    "crop_box": mask.crop_box,
                    **self._name_score(number),
                },
            )
            for number, mask in enumerate(self._masks, 1)
        ]

    def _name_score(self, number: int) -> dict[str, float]:
        fit = self.name_scores.get(number)
        return {} if fit is None else {"name_score": fit}

    @property
    def masks(self) -> list[NDArray[np.bool_]]:
        """All masks, `(height, width)` bool, decoded at once; see also `segmentations`."""
        return [mask.segmentation for mask in self._masks]

    @property
    def segmentations(self) -> Sequence[NDArray[np.bool_]]:
        """The masks as a lazy sequence, which saves memory.

        A mask is decoded at each access.
        """
        return LazyMasks([mask.rle for mask in self._masks])

    @property
    def scores(self) -> Tensor:
        """Predicted IoU of each mask, `(masks,)` float32."""
        return torch.tensor([mask.predicted_iou for mask in self._masks])

    def keys(self) -> list[str]:
        """List the available columns, by transformers' names."""
        return list(self._columns())

    def values(self) -> list[Column]:
        """List the columns, in the order of `keys`."""
        return [column() for column in self._columns().values()]

    def items(self) -> list[tuple[str, Column]]:
        """List the columns with their names."""
        return list(zip(self.keys(), self.values(), strict=True))

    def get(self, key: str, default: Column = None) -> Column:
        """Return a column by name, or `default` if there is none."""
        return self[key] if key in self.keys() else default

    def as_records(self) -> list[dict[str, Any]]:
        """List the original's dictionaries, with "segmentation" per `output_mode`."""
        return [mask.as_record(self.options.output_mode) for mask in self._masks]

    def _columns(self) -> dict[str, Callable[[], Any]]:
        columns: dict[str, Callable[[], Any]] = {
            "masks": lambda: self.masks,
            "scores": lambda: self.scores,
        }
        if self.options.output_rle_mask:
            columns["rle_mask"] = lambda: [mask.rle for mask in self._masks]
        if self.options.output_bboxes_mask:
            columns["bounding_boxes"] = self._corners
        return columns

    def _corners(self) -> Tensor:
        """Boxes as x0, y0, x1, y1, `(masks, 4)` float32."""
        corners = [(x, y, x + w, y + h) for x, y, w, h in (mask.bbox for mask in self._masks)]
        return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
