"""The dense objective: every cell of an encoded photo is a click, and its segment the answer.

The two-way transformer of the decoder is left out: the embedding of a cell takes the place of the
mask tokens. So a photo answers dozens of clicks for the cost of encoding it once, and the encoder
learns segments before the decoder has to find out what a click is.

Suffixes: b = photos, o = objects of a photo, k = clicks on a photo, m = candidate masks, n = cells
of the image embedding, c = channels, h, w = rows and columns, q = clicks of all photos.
"""

import time
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from sam2_hf.model.frame_memory import FrameFeatures
from sam2_hf.model.mask_losses import LossRules, MaskLosses, mask_losses, read_labels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .training_output import TrainingOutput

PRESENT_LOGIT = 10.0  # the object score is not asked here
# Attention begins with products of about 20 where a cell looks at itself; logits of masks are small
AFFINITY_SCALE = 0.25
PURITY = 4  # power of the share of a cell that belongs to an object: its inner cells are clicked


@dataclass(frozen=True, slots=True, eq=False)
class CellClicks:
    """Which cells of which photos are clicked, for which objects.

    Attributes:
        object_bk: The object meant, int64.
        cell_bk: The cell clicked, counted row by row, int64.
        real_bk: False where a photo has no further cell to click.
    """

    object_bk: Tensor
    cell_bk: Tensor
    real_bk: Tensor


class DenseObjective(nn.Module):
    """Photos and true masks in, loss out: the encoder and what draws masks, without prompts.

    The logits of a click's masks are those of the decoder's filters, made of the clicked cell's
    embedding, plus the affinity of the clicked cell to every cell, as the decoder's last attention
    weighs it. All layers are the model's own, so nothing is thrown away afterwards.

    In a clip the cells of the first frame are clicked, and the masks are those of the last: so
    features learn to find an object again, too.

    Attributes:
        click_s: Seconds spent on choosing cells, since somebody set it to 0.

    Args:
        model: The model that learns.
        rules: How masks are compared with the true ones; `object_score` plays no part.
        clicks: Most cells clicked on a photo.
    """

    def __init__(self, model: Sam2VideoModel, rules: LossRules, clicks: int) -> None:
        super().__init__()
        self.model = model
        self.rules = rules
        self.clicks = clicks
        self.click_s = 0.0

    def forward(
        self,
        clips: Tensor,
        labels: Tensor,
        seeds: Tensor | None = None,
        plan_seed: int | None = None,
        num_objects: float | None = None,
    ) -> TrainingOutput:
        """Compute the loss of a batch of photos or clips.

        Args:
            clips: Normalized photos, `(b, t, 3, S, S)`; t = 1 for photos.
            labels: True masks, `(b, o, t, S, S)`, bool; an empty one is padding.
            seeds: One for each photo, `(b,)` int64: which cells are clicked depends on nothing
                else. Without them, torch's global generator decides.
            plan_seed: Not used.
            num_objects: Not used.
        """
        last = clips.shape[1] - 1
        ends = clips if last < 1 else clips[:, [0, last]]
        features = self.model.encode_image(ends.flatten(0, 1))
        return self.compare(features, labels, seeds)

    def compare(
        self, features: FrameFeatures, labels: Tensor, seeds: Tensor | None = None
    ) -> TrainingOutput:
        """Compute the loss of frames that are encoded already.

        Args:
            features: First and last frame of each clip in turn, or the photos.
            labels: As in `forward`.
            seeds: As in `forward`.
        """
        frames = len(features.embedding_bchw) // len(labels)
        first, last = _every(features, frames, 0), _every(features, frames, frames - 1)
        grid = (first.embedding_bchw.shape[-2], first.embedding_bchw.shape[-1])
        begun = time.perf_counter()
        clicks = choose_cells(labels[:, :, 0], grid, self.clicks, seeds)
        self.click_s += time.perf_counter() - begun
        logits_bkmhw, iou_bkm = self.answer(first, last, clicks.cell_bk)
        photo_q, click_q = clicks.real_bk.nonzero(as_tuple=True)
        truth_qhw = labels[photo_q, clicks.object_bk[photo_q, click_q], -1]
        return self._output(
            logits_bkmhw[photo_q, click_q], iou_bkm[photo_q, click_q], truth_qhw, photo_q
        )

    def answer(
        self, first: FrameFeatures, last: FrameFeatures, cell_bk: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Draw the masks that clicked cells belong to.

        Args:
            first: Frames that are clicked.
            last: Frames whose masks are wanted; the same for photos.
            cell_bk: Cells, counted row by row.

        Returns:
            Logits `(b, k, m, 4h, 4w)`, the single mask first, and predicted IoU `(b, k, m)`.
        """
        decoder, cells_bk1 = self.model.mask_decoder, cell_bk[..., None]
        clicked_bkc = _tokens(first).take_along_dim(cells_bk1, dim=1)
        filters_bkmc = torch.stack(
            [mlp(clicked_bkc) for mlp in decoder.output_hypernetworks_mlps], dim=2
        )
        drawn_bqhw = decoder.draw_filters(
            _tokens(last)[:, None],
            filters_bkmc.flatten(1, 2)[:, None],
            last.with_embedding(last.embedding_bchw),
        )[:, 0]
        placed_bkc = self._placed(first).take_along_dim(cells_bk1, dim=1)
        affinity_bqhw = self._affinity(placed_bkc, self._placed(last)).unflatten(
            2, last.embedding_bchw.shape[-2:]
        )
        drawn_bqhw = drawn_bqhw + functional.interpolate(
            affinity_bqhw, drawn_bqhw.shape[-2:], mode="bilinear"
        )
        iou_bkm = decoder.iou_prediction_head(clicked_bkc).sigmoid()
        return drawn_bqhw.unflatten(1, filters_bkmc.shape[1:3]), iou_bkm

    def _placed(self, features: FrameFeatures) -> Tensor:
        """Add their places to the cells of some frames."""
        tokens_bnc = _tokens(features)
        positions_1chw = self.model.get_image_wide_positional_embeddings()
        return tokens_bnc + positions_1chw.flatten(2).transpose(1, 2).to(tokens_bnc.dtype)

    def _affinity(self, clicked_bkc: Tensor, placed_bnc: Tensor) -> Tensor:
        """Weigh every cell by how much clicked ones look at it, one row per mask, `(b, q, n)`."""
        decoder = self.model.mask_decoder
        attention = decoder.transformer.final_attn_token_to_image
        asking_bkmc = clicked_bkc[:, :, None] + decoder.mask_tokens.weight.to(clicked_bkc.dtype)
        query_bqc = attention.q_proj(asking_bkmc).flatten(1, 2)
        key_bnc = attention.k_proj(placed_bnc)
        # attention, too, is blind to what all cells share
        key_bnc = key_bnc - key_bnc.mean(dim=1, keepdim=True)
        scale = AFFINITY_SCALE * attention.scaling / attention.num_heads
        return query_bqc @ key_bnc.transpose(1, 2) * scale

    def _output(
        self, logits_qmhw: Tensor, iou_qm: Tensor, truth_qhw: Tensor, photo_q: Tensor
    ) -> TrainingOutput:
        """Compare the single mask and the best of the others with the true ones."""
        labels = read_labels(truth_qhw, self.rules)
        present_q1 = torch.full_like(labels.present_b1, PRESENT_LOGIT)
        single, _ = mask_losses(logits_qmhw[:, :1], iou_qm[:, :1], present_q1, labels, self.rules)
        several, true_iou_qm = mask_losses(
            logits_qmhw[:, 1:], iou_qm[:, 1:], present_q1, labels, self.rules
        )
        losses: MaskLosses = (single + several).divided(max(len(photo_q), 1))
        chosen_q1 = iou_qm[:, 1:].argmax(dim=1, keepdim=True)
        chosen_iou_q = true_iou_qm.gather(1, chosen_q1)[:, 0]
        return TrainingOutput(
            loss=losses.total(self.rules),
            focal=losses.focal.detach(),
            dice=losses.dice.detach(),
            iou=losses.iou.detach(),
            object_score=losses.object_score.detach(),
            logits_tohw=logits_qmhw[:, 0].detach()[None],
            iou_to=true_iou_qm.amax(dim=1)[None],
            first_iou_to=chosen_iou_q[None],
            predicted_iou_to=iou_qm[:, 1:].gather(1, chosen_q1).detach()[:, 0][None],
            present_to=labels.present_b1[:, 0][None] > 0,
            clip_o=photo_q,
        )


def _every(features: FrameFeatures, step: int, place: int) -> FrameFeatures:
    """Take one frame of each clip."""
    maps = (getattr(features, field.name) for field in fields(features))
    return FrameFeatures(*(one[place::step] for one in maps))


def _tokens(features: FrameFeatures) -> Tensor:
    """Lay the embedding out cell by cell, `(b, n, c)`."""
    return features.embedding_bchw.flatten(2).transpose(1, 2)


@torch.no_grad()
def choose_cells(
    masks_bohw: Tensor, grid: tuple[int, int], clicks: int, seeds: Tensor | None = None
) -> CellClicks:
    """Choose the cells to click: inner cells of objects, none twice for the same object.

    An object is chosen in proportion to the square root of its area, so that small ones count.

    Args:
        masks_bohw: True masks, bool.
        grid: Rows and columns of the image embedding.
        clicks: Most clicks on a photo.
        seeds: One for each photo; torch's global generator decides without them.
    """
    share_bohw = functional.adaptive_avg_pool2d(masks_bohw.float(), grid)
    pure_bon = share_bohw.flatten(2).pow(PURITY)
    weight_bon = pure_bon / pure_bon.sum(dim=2, keepdim=True).clamp(min=1e-9).sqrt()
    shape = (weight_bon.shape[1] * weight_bon.shape[2],)
    if seeds is None:
        drawn_bq = torch.rand((len(weight_bon), *shape), device=weight_bon.device)
    else:
        rows = [
            torch.rand(shape, generator=torch.Generator().manual_seed(int(seed)))
            for seed in seeds.tolist()
        ]
        drawn_bq = torch.stack(rows).to(weight_bon.device)
    # the largest of u ** (1 / weight) are a weighted draw (Efraimidis and Spirakis, 2006)
    key_bq = drawn_bq.clamp(min=1e-9).log() / weight_bon.flatten(1).clamp(min=1e-9)
    key_bq = key_bq.masked_fill(weight_bon.flatten(1) <= 0, -torch.inf)
    best = key_bq.topk(min(clicks, shape[0]), dim=1)
    cells = weight_bon.shape[2]
    return CellClicks(best.indices // cells, best.indices % cells, best.values > -torch.inf)
