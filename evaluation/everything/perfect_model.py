"""A model that reads the truth, to check tracking and scoring: all its answers are right.

It takes the steps of a [`TrackingModel`]. A memory holds the number of the object whose true mask
was given as a prompt. A tracked object gets its true mask, or none where it is hidden.

Suffixes: b = objects, m = masks of an object, h, w = rows and columns in pixels of the frame, S =
input size of the model.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.everything.key_frame_masks import KeyFrameMask
from sam2_hf.frames.open import open_frames
from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.outputs import FrameFeatures, ObjectMasks
from sam2_hf.model.prompt_encoder import NO_OBJECT, Prompts
from sam2_hf.processing.prompt_reading import read_mask

MaskHw = NDArray[np.bool_]
Truth = Callable[[int], Mapping[int, MaskHw]]

SURE = 10.0  # logit
NOBODY = -1.0  # number of an object that is none of the truth
SAME = 0.5  # least IoU of a prompt with the true mask of its object


class PerfectModel:
    """A model of one video that answers with the truth.

    Args:
        video: Its pictures, of which no two are equal.
        size: `(height, width)` of the frames.
        truth: Returns the true masks of a frame, by object id.
        side: Input size, model pixels.
    """

    fingerprint = "0" * 64  # there are no weights that could change

    def __init__(
        self,
        video: Sequence[NDArray[np.uint8]],
        size: tuple[int, int],
        truth: Truth,
        side: int = 256,
    ) -> None:
        self.config: Any = SimpleNamespace(
            num_maskmem=7,
            max_object_pointers_in_encoder=16,
            max_cond_frame_num=-1,
            multimask_output_in_sam=False,
            multimask_output_for_tracking=False,
            multimask_min_pt_num=0,
            multimask_max_pt_num=1,
        )
        self.num_maskmem = self.config.num_maskmem
        self.image_size, self.mask_input_size = side, size
        self.hidden_dim, self.mem_dim, self.memory_shape = 1, 1, (1, 1, 1)
        self.device, self.dtype, self.training = torch.device("cpu"), torch.float32, False
        self._size, self._truth = size, truth
        with open_frames(video, image_size=side) as frames:
            self._frames = {
                _digest(frames.pixel_values(frame)): frame for frame in range(len(video))
            }

    def find_masks(self, frame: int, picture_hw3: NDArray[np.uint8]) -> list[KeyFrameMask]:
        """Find the true masks of a key frame."""
        return [KeyFrameMask.of(mask, 1.0) for mask in self._truth(frame).values() if mask.any()]

    def encode_image(self, pixel_values: Tensor) -> FrameFeatures:
        """Tell the frame by its pixels; its number is all its features."""
        frame_b111 = torch.full((1, 1, 1, 1), float(self._frames[_digest(pixel_values[0])]))
        return FrameFeatures(frame_b111, frame_b111, frame_b111)

    def condition_on_memory(self, features: FrameFeatures, memories: MemoryInputs | None) -> Tensor:
        """Read the numbers of the objects from their prompts, the oldest memories."""
        if memories is None:
            return torch.full((1, 1, 1, 1), NOBODY)
        ages = list(memories.ages)
        return memories.spatial[ages.index(max(ages))].float()

    def decode_masks(
        self,
        features: FrameFeatures,
        embedding_bdhw: Tensor,
        prompts: Prompts,
        *,
        multimask_output: bool,
        dynamic_multimask_via_stability: bool | None = None,
    ) -> ObjectMasks:
        """Answer with the true masks of the objects."""
        return self._answer(features, embedding_bdhw.flatten(1)[:, 0])

    def object_pointers(self, token_bd: Tensor, score_b1: Tensor) -> Tensor:
        """Return the tokens: each answer has one candidate."""
        del score_b1
        return token_bd

    def use_mask_as_output(self, features: FrameFeatures, mask_b1hw: Tensor) -> ObjectMasks:
        """Tell which object a given mask is, and answer with its true mask."""
        frame = int(features.embedding_bchw[0])
        return self._answer(features, self._numbers(frame, mask_b1hw[:, 0] > 0))

    def encode_memory(
        self, features: FrameFeatures, logits_b1hw: Tensor, score_b1: Tensor, *, binarize: bool
    ) -> Tensor:
        """Remember which objects the masks show."""
        frame = int(features.embedding_bchw[0])
        return self._numbers(frame, logits_b1hw[:, 0] > 0)[:, None, None, None]

    def _answer(self, features: FrameFeatures, number_b: Tensor) -> ObjectMasks:
        truth = self._truth(int(features.embedding_bchw[0]))
        empty = np.zeros(self._size, bool)
        masks = [truth.get(int(number), empty) for number in number_b.tolist()]
        inside_b1hw = torch.from_numpy(np.stack(masks))[:, None]
        is_there_b1 = inside_b1hw.flatten(1).any(dim=1, keepdim=True)
        logits_b1hw = torch.where(inside_b1hw, SURE, -SURE)
        logits_b1hw = logits_b1hw.where(is_there_b1[..., None, None], NO_OBJECT)
        score_b1 = torch.where(is_there_b1, SURE, -SURE)
        iou_b1 = torch.ones_like(score_b1)
        return ObjectMasks(logits_b1hw, iou_b1, logits_b1hw, iou_b1, number_b[:, None], score_b1)

    def _numbers(self, frame: int, masks_bhw: Tensor) -> Tensor:
        """Tell which objects of a frame masks show, of the frame's size or of the input's."""
        truth = {n: torch.from_numpy(mask) for n, mask in self._truth(frame).items()}
        if tuple(masks_bhw.shape[1:]) != self._size:
            side = self.image_size
            truth = {n: read_mask(mask, self._size, side, "the truth") for n, mask in truth.items()}
        found = []
        for mask_hw in masks_bhw:
            shared = {n: _iou(mask_hw, true_hw) for n, true_hw in truth.items()}
            best = max(shared, key=lambda n: shared[n], default=None)
            found.append(NOBODY if best is None or shared[best] < SAME else float(best))
        return torch.tensor(found)


def _iou(first: Tensor, second: Tensor) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def _digest(pixels_3ss: Tensor) -> str:
    return hashlib.sha256(pixels_3ss.contiguous().numpy().tobytes()).hexdigest()
