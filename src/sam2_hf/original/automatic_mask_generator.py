"""The original's `sam2.automatic_mask_generator`: everything in a photo."""

from collections.abc import Sequence
from typing import Any, Self

from torch import nn

from sam2_hf.pipelines.everything_options import EverythingOptions, OutputMode
from sam2_hf.pipelines.loading import Source
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline
from sam2_hf.pipelines.point_grid import Grid
from sam2_hf.processing.images import ImageSource

from .model_building import pretrained_config, refuse_unknown, split_options
from .sam2_image_predictor import SAM2ImagePredictor

OPTIONS = (
    *("points_per_side", "points_per_batch", "pred_iou_thresh", "stability_score_thresh"),
    *("stability_score_offset", "mask_threshold", "box_nms_thresh", "crop_n_layers"),
    *("crop_nms_thresh", "crop_overlap_ratio", "crop_n_points_downscale_factor", "point_grids"),
    *("min_mask_region_area", "output_mode", "use_m2m", "multimask_output"),
)


class _Option:
    """An option as an attribute that can be read and set; a value is checked when it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, generator: "SAM2AutomaticMaskGenerator | None", owner: type) -> Any:  # noqa: ANN401
        return self if generator is None else getattr(generator.options, self._name)

    def __set__(self, generator: "SAM2AutomaticMaskGenerator", value: object) -> None:
        generator.options = generator.options.changed(**{self._name: value})


class SAM2AutomaticMaskGenerator:
    """Find all masks of a photo; see [`EverythingOptions`] for the options, which are attributes.

    Args:
        model: As in [`SAM2ImagePredictor`].
        points_per_side: See [`EverythingOptions`], as for the rest.
        **kwargs: Nothing; a misspelled option is an error.

    Attributes:
        predictor: A predictor with the same model.
        options: All options together.

    Raises:
        OptionError: There is no such option.
        PromptError: It is not a model, or an option has a value that cannot be used.

    Source: sam2/automatic_mask_generator.py:36-146 @ 2b90b9f.
    Differs: a value that is set later counts in the next `generate`, also one that the original
        reads at the beginning alone, such as `points_per_side` and `min_mask_region_area`.

    Example:
        >>> generator = SAM2AutomaticMaskGenerator(image_model, points_per_side=4)
        >>> records = generator.generate("coffee.jpg")
    """

    points_per_batch = _Option()
    pred_iou_thresh = _Option()
    stability_score_thresh = _Option()
    stability_score_offset = _Option()
    mask_threshold = _Option()
    box_nms_thresh = _Option()
    crop_n_layers = _Option()
    crop_nms_thresh = _Option()
    crop_overlap_ratio = _Option()
    crop_n_points_downscale_factor = _Option()
    min_mask_region_area = _Option()
    output_mode = _Option()
    use_m2m = _Option()
    multimask_output = _Option()

    def __init__(  # noqa: PLR0913 - the original's signature
        self,
        model: nn.Module,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[Any] | None = None,
        min_mask_region_area: float = 0,
        output_mode: OutputMode = "binary_mask",
        use_m2m: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - the original's signature
        **kwargs: Any,
    ) -> None:
        given = locals()
        refuse_unknown("SAM2AutomaticMaskGenerator", kwargs, OPTIONS)
        self.options = EverythingOptions(**{name: given[name] for name in OPTIONS})
        self.options.grids()
        area = self.options.min_mask_region_area
        self.predictor = SAM2ImagePredictor(model, max_hole_area=area, max_sprinkle_area=area)
        self._pipeline = MaskGenerationPipeline(self.predictor.image_model)

    @classmethod
    def from_pretrained(cls, model_id: Source, **kwargs: Any) -> Self:
        """Load a model and make a generator of it.

        Args:
            model_id: Hub id such as `facebook/sam2.1-hiera-tiny`, a folder or a bundled model.
            **kwargs: Options of `build_sam2` and of the generator.

        Raises:
            CheckpointError: There is no such model.
            OptionError: There is no such option.
            PromptError: An option has a value that cannot be used.

        Example:
            >>> SAM2AutomaticMaskGenerator.from_pretrained("sam2-hiera-micro").points_per_side
            32
        """
        what = f"{cls.__name__}.from_pretrained"
        build, own = split_options(what, kwargs, OPTIONS, of_video=False)
        return cls(build.image_model(pretrained_config(model_id), model_id), **own)

    @property
    def points_per_side(self) -> int | None:
        """Clicks along each side of the photo; None with grids of one's own."""
        return self.options.points_per_side

    @points_per_side.setter
    def points_per_side(self, points: int) -> None:
        """Click on a regular grid."""
        self.options = self.options.changed(points_per_side=points, point_grids=None)

    @property
    def point_grids(self) -> list[Grid]:
        """Where is clicked in each layer, `(n, 2)` shares of width and height."""
        return self.options.grids()

    @point_grids.setter
    def point_grids(self, grids: Sequence[Any]) -> None:
        """Click on other places."""
        changed = self.options.changed(point_grids=grids)
        changed.grids()
        self.options = changed

    def generate(self, image: ImageSource) -> list[dict[str, Any]]:
        """Find all masks of a photo; see [`MaskGenerationPipeline.generate`].

        Args:
            image: An RGB array `(height, width, 3)`, or anything else that can be read as a photo.

        Raises:
            ImageError: The photo cannot be read.
            PromptError: The options do not fit together.

        Example:
            >>> generator = SAM2AutomaticMaskGenerator(image_model, points_per_side=4)
            >>> boxes = [record["bbox"] for record in generator.generate(photo)]
        """
        self._pipeline.options = self.options
        return self._pipeline.generate(image)
