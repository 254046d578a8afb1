"""A model of known failures: an object, its look-alike, and rules by which they are mistaken.

A frame shows two discs, the object on the left half and the look-alike on the right one. There are
three candidate masks: the object, the look-alike, and both; the same one where there is no
look-alike. What the model finds likely depends on
the frame and on what it reads: a memory of the object, of the look-alike, or of nothing in view,
and whether both were to be seen when it was made. The rule of a scene says so. Frames are gray
levels, as those of `tests/fakes.py`.

Suffixes: b = objects, m = candidates, h, w = rows and columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.model.prompt_encoder import NO_OBJECT
from tests.fakes import SIDE, FakeModel, disc_logits, disc_of

RADIUS = 8.0
OBJECT_X, OTHER_X, MIDDLE_Y = 16.0, 48.0, 32.0


@dataclass(frozen=True)
class Memories:
    """What a frame reads, prompted frames aside: how many memories there are of each kind."""

    of_object: int
    of_other: int
    of_both_seen: int  # of the object, from frames where the look-alike was in view too

    @property
    def follows_other(self):
        return self.of_other > self.of_object


@dataclass(frozen=True)
class Answer:
    """What the model finds likely."""

    iou_object: float
    iou_other: float
    score: float = 5.0


class LookAlikeModel(FakeModel):
    """See above.

    Args:
        rule: From a frame and what it reads to an answer.
        other_in_view: Frames where the look-alike is in view.
    """

    def __init__(self, rule, other_in_view=range(256)):
        super().__init__()
        self.rule, self.other_in_view = rule, other_in_view
        self.tracked_from = []  # what was read on each frame, one row for each hypothesis

    def condition_on_memory(self, features, recollection) -> Tensor:
        """Channels: how many memories of the object, of the other, and with both in view."""
        if recollection is None:
            return torch.zeros(1, 3, 1, 1)
        tracked = [
            memory.float()
            for memory, age in zip(recollection.spatial, recollection.ages, strict=True)
            if age < self.num_maskmem
        ]
        apart = [
            memory.float()
            for memory, age in zip(recollection.spatial, recollection.ages, strict=True)
            if age == self.num_maskmem
        ]
        zero = torch.zeros_like(apart[0][:, 0])
        of_object = sum((memory[:, 0] == 1 for memory in tracked), start=zero)
        of_other = sum((memory[:, 0] == -1 for memory in tracked), start=zero)
        both = sum((memory[:, 1] for memory in tracked + apart), start=zero)
        return torch.stack((of_object, of_other, both), dim=1)

    def decode_masks(self, features, embedding_bdhw, prompts, *, multimask_output, **options):
        frame = int(features.embedding_bchw[0])
        if prompts.points_bpt2 is not None:
            return self._prompted(prompts.points_bpt2[:, 0, 0])
        reads = [Memories(*map(int, row)) for row in embedding_bdhw[:, :, 0, 0].tolist()]
        self.tracked_from.append((frame, reads))
        answers = [self.rule(frame, memories) for memories in reads]
        own = disc_at(OBJECT_X)
        other = disc_at(OTHER_X) if frame in self.other_in_view else own
        candidates_mhw = torch.cat((own, other, torch.maximum(own, other)))
        iou_bm = torch.tensor([[a.iou_object, a.iou_other, 0.05] for a in answers])
        score_b1 = torch.tensor([[a.score] for a in answers])
        in_view_b1 = score_b1 > 0
        candidates_bmhw = candidates_mhw[None].where(in_view_b1[..., None, None], NO_OBJECT)
        best_b1 = iou_bm.argmax(dim=-1, keepdim=True)
        tokens_bmd = torch.arange(3.0)[None, :, None].expand(len(answers), -1, 4)
        return ObjectMasks(
            candidates_bmhw,
            iou_bm,
            candidates_bmhw.take_along_dim(best_b1[..., None, None], dim=1),
            iou_bm.gather(1, best_b1),
            best_b1.float().expand(-1, 4),
            score_b1,
            candidate_tokens_bmd=tokens_bmd,
        )

    def object_pointers(self, token_bd, score_b1):
        """The pointer is the number of the candidate."""
        return token_bd

    def encode_memory(self, features, logits_b1hw, score_b1, *, binarize) -> Tensor:
        """1 for the object, -1 for the other, 0 for nothing; whether both were to be seen."""
        frame = int(features.embedding_bchw[0])
        left_b = disc_of(logits_b1hw)[:, 0] < SIDE / 2
        kind_b = left_b.float() * 2 - 1
        kind_b = kind_b.where((logits_b1hw > 0).flatten(1).any(1) & (score_b1[:, 0] > 0), 0)
        both_b = (kind_b == 1).float() * (frame in self.other_in_view)
        rest_b = torch.zeros_like(kind_b)
        return torch.stack((kind_b, both_b, rest_b), dim=1)[..., None, None]

    def _prompted(self, points_b2) -> ObjectMasks:
        logits_b1hw = torch.stack([disc_at(float(x)) for x, _ in points_b2])
        ones_b1 = torch.ones(len(logits_b1hw), 1)
        return ObjectMasks(
            logits_b1hw, ones_b1, logits_b1hw, ones_b1, ones_b1.expand(-1, 4), 5 * ones_b1
        )


def disc_at(x):
    """A disc, `(1, h, w)`."""
    return disc_logits(torch.tensor([[x, MIDDLE_Y, RADIUS]]))[0]


def what_is_shown(result, object_id=1):
    """Which disc a mask covers: "object", "other" or "nothing"."""
    mask = result.masks[object_id]
    if not mask.any():
        return "nothing"
    return "object" if mask[:, : SIDE // 2].any() else "other"
