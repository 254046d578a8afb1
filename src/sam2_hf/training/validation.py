"""Validation during training: mean IoU of single clicks on photos, mean J of tracked clips.

Suffixes: o = objects, t = frames, h, w = rows and columns of the photo or clip, b = 1, p = objects
prompted together, 2 = x and y.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.contact_sheet import Cell, contact_sheet
from sam2_hf.data.clip import Clip
from sam2_hf.data.dataset import ClipDataset
from sam2_hf.errors import DataError, Sam2Error, TrainingError
from sam2_hf.geometry import to_model_pixels
from sam2_hf.model.configs.configuration_sam2 import Sam2Config
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.overlay import DrawnPrompts, draw_overlay, object_colors
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.upsampled_masks import masks_at_size
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

from .click_sampling import innermost_clicks
from .config import ValidationConfig

AT_ONCE = 32  # prompts decoded together; more need memory for little gain
PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
SHARED = ("vision_encoder", "prompt_encoder", "mask_decoder", "shared_image_embedding")


CELL = (256, 256)  # pixels of a picture on the sheet


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Prediction on a photo or clip.

    Attributes:
        clip: Pictures and true masks of the chosen objects.
        found_othw: Predicted masks, bool; on the first frame of a clip the prompt.
        clicks: The click on each object, `(x, y)` in pixels of the photo; empty for a clip.
    """

    clip: Clip
    found_othw: NDArray[np.bool_]
    clicks: tuple[tuple[float, float], ...] = ()

    def ious(self) -> list[float]:
        """Return one IoU per object; for a clip the mean over all frames but the first.

        If both masks are empty, the IoU is 1.
        """
        first = 0 if self.clicks else 1
        truth, found = self.clip.masks_othw[:, first:], self.found_othw[:, first:]
        shared_ot = np.count_nonzero(truth & found, axis=(2, 3))
        united_ot = np.count_nonzero(truth | found, axis=(2, 3))
        iou_ot = np.where(united_ot == 0, 1.0, shared_ot / np.maximum(united_ot, 1))
        return [float(value) for value in iou_ot.mean(axis=1)]


def largest_objects(clip: Clip, limit: int | None) -> Clip:
    """Keep the largest objects on the first frame, in their order."""
    if limit is None or len(clip.masks_othw) <= limit:
        return clip
    areas_o = np.count_nonzero(clip.masks_othw[:, 0], axis=(1, 2))
    kept = sorted(np.argsort(-areas_o, kind="stable")[:limit].tolist())
    return Clip(clip.frames_thw3, clip.masks_othw[kept], clip.name)


def as_image_model(model: Sam2VideoModel) -> Sam2Model:
    """Make an image model that shares a video model's parts, without memory."""
    fields = model.config.to_dict()
    with torch.device("meta"):
        image = Sam2Model(
            Sam2Config(**{part: {**fields[part], "model_type": None} for part in PARTS})
        )
    for name in SHARED:
        setattr(image, name, getattr(model, name))
    image.no_memory_embedding = model.no_memory_embedding
    return image.eval()


@torch.no_grad()
def predict_photo(model: Sam2Model, clip: Clip) -> Prediction:
    """Click once at the center of each object; keep the mask of highest predicted IoU.

    Args:
        model: The model, in eval mode.
        clip: One frame, with its objects.
    """
    size = clip.frames_thw3.shape[1:3]
    side = model.image_size
    processor = Sam2ImageProcessor(size={"height": side, "width": side})
    pixels = processor(images=clip.frames_thw3[0], return_tensors="pt")["pixel_values"]
    embeddings = model.get_image_embeddings(pixels.to(model.device))
    xy_p2 = innermost_clicks(torch.from_numpy(clip.masks_othw[:, 0]), None).xy_n2
    points_p2 = to_model_pixels(xy_p2, size, side).to(model.device)
    found = [
        _best_masks(model, embeddings, part_p2, size).numpy(force=True)
        for part_p2 in points_p2.split(AT_ONCE)
    ]
    clicks = tuple((x, y) for x, y in xy_p2.tolist())
    return Prediction(clip, np.concatenate(found)[:, None], clicks)


def predict_clip(model: Sam2VideoModel, clip: Clip) -> Prediction:
    """Prompt the true masks on the first frame and track the objects.

    Args:
        model: The model, in eval mode.
        clip: Two frames or more, with their objects.
    """
    session = Sam2VideoInferenceSession.open(clip.frames_thw3, model)
    for number, masks_thw in enumerate(clip.masks_othw):
        session.mask(0, number, masks_thw[0])
    found_othw = clip.masks_othw.copy()
    with torch.no_grad():
        for result in session.propagate():
            for number, mask_hw in result.masks.items():
                found_othw[number, result.frame] = mask_hw
    return Prediction(clip, found_othw)


def _best_masks(
    model: Sam2Model, embeddings: list[Tensor], points_p2: Tensor, size: tuple[int, int]
) -> Tensor:
    """Decode the masks of some clicks, `(p, h, w)` bool."""
    points_bpt2 = points_p2[None, :, None]
    labels_bpt = torch.ones(points_bpt2.shape[:-1], dtype=torch.int64, device=points_p2.device)
    output = model(
        image_embeddings=embeddings,
        input_points=points_bpt2,
        input_labels=labels_bpt,
        multimask_output=True,
    )
    best_p = output.iou_scores[0].argmax(dim=-1)
    each = torch.arange(len(best_p), device=best_p.device)
    return masks_at_size(output.pred_masks[0][each, best_p], size)


COLUMNS = ("step", "score")  # of `valid.csv`, before those of the sources
EXAMPLE_OBJECTS = 3  # maximum objects of a drawn photo or clip


@dataclass(frozen=True, slots=True)
class SourceTotal:
    """Sums over the objects of one source, or over a process's share.

    Attributes:
        label: Name of the source in reports.
        total: Sum of the objects' scores.
        count: Number of objects.
        skipped: Number of unusable photos or clips.
        reason: Error of the first of them; empty if another process skipped them.
    """

    label: str
    total: float
    count: int
    skipped: int = 0
    reason: str = ""


class Validation:
    """Validation sources of a run.

    Args:
        sources: One for each of `config.sources`.
        config: Limits.
        on_bad_data: "skip" counts unusable photos and clips; "raise" ends the run.
    """

    def __init__(
        self,
        sources: Sequence[ClipDataset],
        config: ValidationConfig,
        on_bad_data: Literal["skip", "raise"] = "skip",
    ) -> None:
        self.sources = tuple(sources)
        self.config = config
        self.on_bad_data = on_bad_data

    @property
    def labels(self) -> list[str]:
        """Names of the sources in reports; ambiguous ones are numbered."""
        names = [source.config.label for source in self.sources]
        return [
            name if names.count(name) == 1 and name not in COLUMNS else f"{name} ({number})"
            for number, name in enumerate(names, start=1)
        ]

    def run(self, model: Sam2VideoModel, process: int = 0, processes: int = 1) -> list[SourceTotal]:
        """Score a model on a process's share of all photos and clips.

        Args:
            model: The model, in eval mode.
            process: Index of this process.
            processes: Number of processes, which split the items.

        Returns:
            One total per source.

        Raises:
            DataError: A photo or clip cannot be used, and `on_bad_data` is "raise".
        """
        return [
            self._total(model, label, source, self.places(source)[process::processes])
            for label, source in zip(self.labels, self.sources, strict=True)
        ]

    def places(self, source: ClipDataset) -> list[int]:
        """Choose photos or clips of a source, evenly spread."""
        count = len(source)
        wanted = min(self.config.max_items or count, count)
        return [place * count // wanted for place in range(wanted)]

    def examples(self, model: Sam2VideoModel, count: int) -> Iterator[Prediction]:
        """Predict a few photos and clips, round-robin over sources, always the same ones."""
        share = -(-count // max(len(self.sources), 1))
        chosen = [
            (source, place)
            for source in self.sources
            for place in self.places(source)[:: max(len(self.places(source)) // share, 1)][:share]
        ]
        for source, place in chosen[:count]:
            with contextlib.suppress(Sam2Error):
                yield _predict(model, source.whole_clip(place), EXAMPLE_OBJECTS)

    def _total(
        self, model: Sam2VideoModel, label: str, source: ClipDataset, places: Sequence[int]
    ) -> SourceTotal:
        """Score some photos or clips of a source, skipping unusable ones."""
        ious: list[float] = []
        reasons: list[str] = []
        for place in places:
            try:
                clip = source.whole_clip(place)
                ious += _predict(model, clip, self.config.max_objects).ious()
            except DataError as error:
                if self.on_bad_data == "raise":
                    raise DataError(f"validation on {label}: {error}") from error
                reasons.append(str(error))
        return SourceTotal(label, sum(ious), len(ious), len(reasons), next(iter(reasons), ""))


def training_examples(
    sources: Sequence[ClipDataset], model: Sam2VideoModel, count: int
) -> Iterator[Prediction]:
    """Predict the first photos and clips of the training sources.

    Clips have the length of training clips, not of whole videos.

    Args:
        sources: Opened without augmentation.
        model: The model, in eval mode.
        count: Maximum number.
    """
    share = -(-count // max(len(sources), 1))
    chosen = [(source, item) for source in sources for item in range(min(share, len(source)))]
    side = model.image_size
    for source, item in chosen[:count]:
        with contextlib.suppress(Sam2Error):
            clip = source.draw_clip(item, side, np.random.default_rng(item))
            yield _predict(model, clip, EXAMPLE_OBJECTS)


def skip_note(total: SourceTotal) -> str:
    """Describe the skipped items of a source; empty if there are none."""
    if not total.skipped:
        return ""
    first = f", such as {total.reason}" if total.reason else ""
    return f"validation on {total.label} skipped {total.skipped} photo(s) or clip(s){first}"


def _predict(model: Sam2VideoModel, clip: Clip, limit: int | None) -> Prediction:
    clip = largest_objects(clip, limit)
    if len(clip.frames_thw3) == 1:
        return predict_photo(as_image_model(model), clip)
    return predict_clip(model, clip)


def mean_score(totals: Sequence[SourceTotal]) -> float:
    """Mean over sources of the mean over objects, 0 to 1.

    Raises:
        TrainingError: A source has no usable object.
    """
    for total in totals:
        if not total.count:
            raise TrainingError(
                f"there is nothing to validate on in {total.label}: no photo or clip has an object "
                "within its limits of area. Lower min_area, or take the source out of validation."
            )
    return sum(total.total / total.count for total in totals) / len(totals)


def prediction_sheet(predictions: Iterable[Prediction]) -> NDArray[np.uint8] | None:
    """Draw predictions in rows, beside the picture and the truth.

    Args:
        predictions: Photos and clips; a clip takes a row for each of three frames.

    Returns:
        The sheet, `(h, w, 3)` uint8; None if there is nothing to draw.
    """
    rows = [row for prediction in predictions for row in _rows(prediction)]
    return np.asarray(contact_sheet(rows, CELL)) if rows else None


def _rows(prediction: Prediction) -> Iterator[list[Cell]]:
    clip = prediction.clip
    count = len(clip.frames_thw3)
    colors = object_colors(len(clip.masks_othw))
    clicks = tuple((x, y, True) for x, y in prediction.clicks)
    frames = [0] if count == 1 else sorted({1, count // 2, count - 1})
    for frame in frames:
        picture = clip.frames_thw3[frame]
        truth = draw_overlay(picture, list(clip.masks_othw[:, frame]), colors=colors)
        found = draw_overlay(
            picture,
            list(prediction.found_othw[:, frame]),
            DrawnPrompts(clicks),
            colors=colors,
        )
        yield [Cell("picture", picture), Cell("truth", truth), Cell("prediction", found)]
