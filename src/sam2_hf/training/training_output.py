"""Output of the training objective.

Suffixes: t = frames of a clip, o = objects of all clips of the batch, h, w = rows and columns of a
mask (input size / 4).
"""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class TrainingOutput(ModelOutput):
    """Loss of a batch of clips, and its components.

    Args:
        loss: The total, a scalar; the only field with gradients.
        focal: Unweighted focal loss per object; a scalar, as the next three.
        dice: Dice loss, as above.
        iou: Error of the predicted IoU, as above.
        object_score: Loss of the object score, as above.
        logits_tohw: Masks after the last prompt on each frame, logits.
        iou_to: Their IoU with the true masks, 0 where there is no object.
        first_iou_to: The same before any correction.
        predicted_iou_to: The IoU that the model predicts for the last masks, probability.
        present_to: Whether the object is on the frame, bool.
        clip_o: Clip of each object, int64; objects that are visible on no frame are dropped.
    """

    loss: Tensor | None = None
    focal: Tensor | None = None
    dice: Tensor | None = None
    iou: Tensor | None = None
    object_score: Tensor | None = None
    logits_tohw: Tensor | None = None
    iou_to: Tensor | None = None
    first_iou_to: Tensor | None = None
    predicted_iou_to: Tensor | None = None
    present_to: Tensor | None = None
    clip_o: Tensor | None = None
