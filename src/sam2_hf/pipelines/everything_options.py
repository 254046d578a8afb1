"""Options of mask generation, under the original generator's names and transformers'."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.number_reading import is_finite_number, shown

from .point_grid import Grid, layer_grids, own_grids

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]

# transformers' name -> our options. It has one suppression over the masks of all crops, so its
# threshold becomes that of both of ours.
ALIASES: dict[str, tuple[str, ...]] = {
    "points_per_crop": ("points_per_side",),
    "crops_n_layers": ("crop_n_layers",),
    "crops_nms_thresh": ("box_nms_thresh", "crop_nms_thresh"),
}
NUMBERS = (
    *("pred_iou_thresh", "stability_score_thresh", "stability_score_offset", "mask_threshold"),
    *("box_nms_thresh", "crop_nms_thresh", "crop_overlap_ratio", "min_mask_region_area"),
)
OPTIONAL_NUMBERS = ("max_hole_area", "max_sprinkle_area")
FLAGS = ("use_m2m", "multimask_output", "output_rle_mask", "output_bboxes_mask")


@dataclass(frozen=True, slots=True, eq=False)
class EverythingOptions:
    """Options of mask generation: clicks, thresholds and results.

    Attributes:
        points_per_side: Clicks along each side of the photo; None with `point_grids`.
        points_per_batch: Clicks decoded at once; more is faster and takes more memory. None decodes
            all of a crop.
        pred_iou_thresh: Masks must have a predicted IoU above this; 0 keeps all.
        stability_score_thresh: Masks must be at least this stable; 0 keeps all.
        stability_score_offset: Stability is the IoU of the mask thresholded this much above and
            below its threshold, logits.
        mask_threshold: A pixel with a larger logit belongs to the mask.
        box_nms_thresh: Of two masks of a crop whose boxes overlap more than this (IoU), the one
            with the better predicted IoU stays.
        crop_n_layers: Layers of crops besides the whole photo; layer n has `4 ** n` crops.
        crop_nms_thresh: As `box_nms_thresh`, between crops; the mask of the smaller crop stays.
        crop_overlap_ratio: Overlap of the first layer's crops, fraction of the photo's short side.
        crop_n_points_downscale_factor: Points per side shrink by this factor per layer.
        point_grids: Custom clicks instead of `points_per_side`, one `(n, 2)` array per layer,
            fractions of width and height in [0, 1].
        min_mask_region_area: Holes and speckles up to this area are removed; pixels of the
            decoder's low-resolution mask (256 x 256 for a 1024-pixel model), as in the original.
        output_mode: Type of "segmentation" in the records of `generate`.
        use_m2m: Whether every mask is decoded again with itself as a prompt.
        multimask_output: Whether a click gives three masks instead of one.
        output_rle_mask: Whether the result has transformers' "rle_mask".
        output_bboxes_mask: Whether the result has transformers' "bounding_boxes".
        max_hole_area: Overrides `min_mask_region_area` for holes (transformers' name).
        max_sprinkle_area: Overrides `min_mask_region_area` for speckles (transformers' name).

    Source: sam2/automatic_mask_generator.py:36-146 @ 2b90b9f.
    """

    points_per_side: int | None = 32
    points_per_batch: int | None = 64
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    mask_threshold: float = 0.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: Sequence[Any] | None = None
    min_mask_region_area: float = 0
    output_mode: OutputMode = "binary_mask"
    use_m2m: bool = False
    multimask_output: bool = True
    output_rle_mask: bool = False
    output_bboxes_mask: bool = False
    max_hole_area: float | None = None
    max_sprinkle_area: float | None = None

    def __post_init__(self) -> None:
        _check_counts(self)
        _check_numbers(self)
        if not isinstance(self.output_mode, str) or self.output_mode not in get_args(OutputMode):
            raise PromptError(
                f"output_mode is {shown(self.output_mode)}. "
                f"Choose one of: {', '.join(get_args(OutputMode))}."
            )

    @classmethod
    def of_model(cls, config: object) -> "EverythingOptions":
        """Return the defaults for a model.

        Args:
            config: Its config. Options in its `mask_generation`, a dictionary, replace the usual
                defaults: a small model predicts lower scores than the released ones.

        Raises:
            CheckpointError: One of these options does not exist, or has an unusable value.
        """
        own = getattr(config, "mask_generation", None)
        if own is None:
            return cls()
        try:
            return cls().changed(**own)
        except (TypeError, OptionError, PromptError) as error:
            raise CheckpointError(
                f"the model's config has mask_generation {shown(own)}, but {error}"
            ) from error

    def changed(self, **options: Any) -> "EverythingOptions":
        """Return a copy with other values, given under either set of names.

        Raises:
            OptionError: No option has that name.
            PromptError: A value cannot be used.
        """
        own: dict[str, Any] = {}
        known = {field.name for field in fields(self)}
        for name, value in options.items():
            if name not in known and name not in ALIASES:
                raise OptionError("mask generation", name, known | set(ALIASES))
            # the original's names take precedence over aliases
            own |= {target: value for target in ALIASES.get(name, ()) if target not in options}
            own |= {name: value} if name in known else {}
        if own.get("point_grids") is not None and "points_per_side" not in own:
            own["points_per_side"] = None
        return replace(self, **own)

    def grids(self) -> list[Grid]:
        """List the click grid of every layer, fractions of width and height.

        Raises:
            PromptError: A layer has no points, or a custom grid is unusable.
        """
        if self.point_grids is not None:
            return own_grids(self.point_grids, num_layers=self.crop_n_layers)
        return layer_grids(
            int(self.points_per_side or 0),
            num_layers=self.crop_n_layers,
            downscale=self.crop_n_points_downscale_factor,
        )

    @property
    def hole_area(self) -> float:
        """Largest hole to fill, pixels of the low-resolution mask."""
        return self.min_mask_region_area if self.max_hole_area is None else self.max_hole_area

    @property
    def sprinkle_area(self) -> float:
        """Largest speckle to remove, pixels of the low-resolution mask."""
        own = self.max_sprinkle_area
        return self.min_mask_region_area if own is None else own


def _check_counts(options: EverythingOptions) -> None:
    if (options.points_per_side is None) == (options.point_grids is None):
        raise PromptError(
            f"points_per_side is {options.points_per_side} and point_grids is "
            f"{'not given' if options.point_grids is None else 'given'}. Give exactly one of them."
        )
    counts = {
        "points_per_batch": 1,
        "crop_n_points_downscale_factor": 1,
        "crop_n_layers": 0,
        "points_per_side": 1,
    }
    for name, least in counts.items():
        value = getattr(options, name)
        may_be_none = name in ("points_per_batch", "points_per_side")
        is_count = is_finite_number(value) and float(value).is_integer() and value >= least
        if not is_count and not (value is None and may_be_none):
            raise PromptError(
                f"{name} is {shown(value)}; it must be a whole number of at least {least}."
            )


def _check_numbers(options: EverythingOptions) -> None:
    for name in (*NUMBERS, *OPTIONAL_NUMBERS):
        value = getattr(options, name)
        if not is_finite_number(value) and not (value is None and name in OPTIONAL_NUMBERS):
            raise PromptError(f"{name} is {shown(value)}; it must be a finite number.")
    for name in FLAGS:
        if not isinstance(getattr(options, name), bool | np.bool_):
            raise PromptError(f"{name} is {getattr(options, name)!r}; it must be True or False.")
    if not 0 <= options.crop_overlap_ratio < 1:
        raise PromptError(
            f"crop_overlap_ratio is {options.crop_overlap_ratio!r}; it must be at least 0 and "
            "less than 1."
        )
