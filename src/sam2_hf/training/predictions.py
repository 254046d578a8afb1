"""What a model makes of a whole photo or clip: one click each, or true masks to begin with.

Suffixes: o = objects, t = frames, h, w = rows and columns of the photo or clip, b = 1, p = objects
prompted together, 2 = x and y.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.geometry import to_model_pixels
from sam2_hf.masks import resize_masks
from sam2_hf.model.configuration_sam2 import Sam2Config
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.video.session import Sam2VideoInferenceSession

from .click_sampling import innermost_clicks
from .clips import Clip

AT_ONCE = 32  # prompts decoded together; more need memory and gain little
PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
SHARED = ("vision_encoder", "prompt_encoder", "mask_decoder", "shared_image_embedding")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A photo or clip with what was found on it.

    Attributes:
        clip: Pictures and true masks of the chosen objects.
        found_othw: Predicted masks, bool; the first frame of a clip was given.
        clicks: The click on each object, `(x, y)` in pixels of the photo; none for a clip.
    """

    clip: Clip
    found_othw: NDArray[np.bool_]
    clicks: tuple[tuple[float, float], ...] = ()

    def ious(self) -> list[float]:
        """Compare with the truth: one IoU per object, of a clip the mean over all but frame 0.

        Where there is nothing and nothing was found, the IoU is 1.
        """
        first = 0 if self.clicks else 1
        truth, found = self.clip.masks_othw[:, first:], self.found_othw[:, first:]
        shared_ot = np.count_nonzero(truth & found, axis=(2, 3))
        united_ot = np.count_nonzero(truth | found, axis=(2, 3))
        iou_ot = np.where(united_ot == 0, 1.0, shared_ot / np.maximum(united_ot, 1))
        return [float(value) for value in iou_ot.mean(axis=1)]


def largest_objects(clip: Clip, limit: int | None) -> Clip:
    """Keep the objects that are largest on the first frame, in their own order."""
    if limit is None or len(clip.masks_othw) <= limit:
        return clip
    areas_o = np.count_nonzero(clip.masks_othw[:, 0], axis=(1, 2))
    kept = sorted(np.argsort(-areas_o, kind="stable")[:limit].tolist())
    return Clip(clip.frames_thw3, clip.masks_othw[kept], clip.name)


def as_image_model(model: Sam2VideoModel) -> Sam2Model:
    """Share a video model's parts with an image model, which has no memory."""
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
    """Click once into the middle of each object, and take the mask of highest predicted IoU.

    Args:
        model: The model, in eval mode.
        clip: One frame, with its objects.
    """
    size = clip.frames_thw3.shape[1:3]
    side = model.prompt_encoder.image_size
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
    """Give the true masks on the first frame and track the objects through the others.

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
    logits_p1hw = output.pred_masks[0][each, best_p][:, None].float()
    return resize_masks(logits_p1hw, size)[:, 0] > 0
