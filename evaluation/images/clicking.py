"""Clicks on every object of a photo, each at the center of the error.

Source: SAM paper (arXiv 2304.02643), appendix D.1: the first click goes to the innermost point,
    each further one to that of the error. facebookresearch/sam2 issue 320: after the first click
    the mask of highest predicted IoU of three counts. sam2/sam2_image_predictor.py @ 2b90b9f: from
    the second click on there is one mask, and the previous one is the mask prompt.

Suffixes: n = objects, p = objects of a batch, t = clicks, k = numbers of clicks, h, w = rows
and columns of the photo, 2 = x and y.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf import Sam2ImageProcessor, Sam2Model
from sam2_hf.data.clip import Clip
from sam2_hf.geometry import to_model_pixels
from sam2_hf.training.click_sampling import innermost_clicks
from sam2_hf.upsampled_masks import masks_at_size

NUM_CLICKS = (1, 3, 5)
AT_ONCE = 32  # objects per batch; more need memory for little gain
LOGIT_LIMIT = 32.0  # of a mask prompt


def click_photo(
    model: Sam2Model, photo: Clip, num_clicks: Sequence[int] = NUM_CLICKS
) -> NDArray[np.float64]:
    """Click every object of a photo separately.

    Args:
        model: The model, in eval mode.
        photo: A clip of one frame.
        num_clicks: Numbers of clicks after which masks are scored, ascending.

    Returns:
        IoU of each object after each of those clicks, `(n, k)`, 0-1.
    """
    embeddings = embed(model, photo)
    truth_nhw = torch.from_numpy(photo.masks_othw[:, 0])
    found = []
    for truth_phw in truth_nhw.split(AT_ONCE):
        answers = click_together(model, embeddings, truth_phw, max(num_clicks))
        ious = [_ious(truth_phw, guess_phw) for guess_phw in answers]
        found.append(np.stack([ious[count - 1] for count in num_clicks], axis=1))
    return np.concatenate(found)


def click_object(model: Sam2Model, photo: Clip, number: int, count: int) -> NDArray[np.bool_]:
    """Return the mask of one object of a photo after some clicks, `(h, w)`."""
    truth_1hw = torch.from_numpy(photo.masks_othw[number : number + 1, 0])
    *_, last_1hw = click_together(model, embed(model, photo), truth_1hw, count)
    return np.asarray(last_1hw[0])


@torch.no_grad()
def embed(model: Sam2Model, photo: Clip) -> list[Tensor]:
    """Encode a photo; see `Sam2Model.get_image_embeddings`."""
    side = model.image_size
    processor = Sam2ImageProcessor(size={"height": side, "width": side})
    pixels = processor(images=photo.frames_thw3[0], return_tensors="pt")["pixel_values"]
    return model.get_image_embeddings(pixels.to(model.device))


@torch.no_grad()
def click_together(
    model: Sam2Model, embeddings: list[Tensor], truth_phw: Tensor, most: int
) -> Iterator[Tensor]:
    """Click some objects separately; yield their masks `(p, h, w)` after each click.

    Args:
        model: The model, in eval mode.
        embeddings: The encoded photo.
        truth_phw: True masks, boolean.
        most: Number of clicks.
    """
    size = (truth_phw.shape[1], truth_phw.shape[2])
    points: list[Tensor] = []
    labels: list[Tensor] = []
    guess_phw: Tensor | None = None
    logits_1phw: Tensor | None = None
    for count in range(1, most + 1):
        clicks = innermost_clicks(truth_phw, guess_phw)
        points.append(to_model_pixels(clicks.xy_n2, size, model.image_size))
        labels.append(clicks.labels_n)
        output = model(
            image_embeddings=embeddings,
            input_points=torch.stack(points, dim=1)[None].to(model.device),
            input_labels=torch.stack(labels, dim=1)[None].to(model.device),
            input_masks=logits_1phw,
            multimask_output=count == 1,
        )
        logits_1phw = _likeliest(output.pred_masks, output.iou_scores)
        guess_phw = masks_at_size(logits_1phw[0], size).cpu()
        logits_1phw = logits_1phw.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        yield guess_phw


def _likeliest(logits_1pmhw: Tensor, iou_1pm: Tensor) -> Tensor:
    """Choose each object's mask of highest predicted IoU, `(1, p, h, w)`."""
    best_p = iou_1pm[0].argmax(dim=1)
    each = torch.arange(len(best_p), device=best_p.device)
    return logits_1pmhw[:, each, best_p]


def _ious(truth_phw: Tensor, guess_phw: Tensor) -> NDArray[np.float64]:
    shared_p = (truth_phw & guess_phw).sum(dim=(1, 2)).double()
    united_p = (truth_phw | guess_phw).sum(dim=(1, 2)).double()
    return (shared_p / united_p).numpy()
