"""The dense objective: dozens of clicks on a photo that is encoded once, and decoded once.

What costs most of a click is that the decoder lets the picture look at it and draws the picture
anew for it. Here clicks look at the picture and the picture at none of them, so all that is large
is shared. Every other layer of the decoder works as it always does: where those by which pictures
look at clicks begin at zero, this is the decoder itself.

Suffixes: b = photos, o = objects of a photo, k = clicks on a photo, t = tokens of a click, m = its
candidate masks, n = cells of the image embedding, c = channels, h, w = rows and columns, q =
clicks of all photos, 2 = x and y.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sam2_hf.geometry import BOX_CORNER_LABELS
from sam2_hf.model.attention import PromptAttention
from sam2_hf.model.mask_losses import LossRules, MaskLosses, mask_losses, read_labels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import FrameFeatures
from sam2_hf.model.two_way_transformer import TwoWayBlock

from .click_sampling import noisy_boxes
from .prompt_simulation import PromptSchedule
from .training_output import TrainingOutput

PRESENT_LOGIT = 10.0  # the object score is not asked here
# Attention begins with products of about 20 where a cell looks at itself; logits of masks are small
AFFINITY_SCALE = 0.25
# Weight of what all cells share. Without it, it grows to ten times what tells them apart, and norms
# keep of both what they find.
CENTERING = 0.3
PLACE_ENERGY = 0.5  # mean square of the sines and cosines of a place
USUAL = PromptSchedule()
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


@dataclass(frozen=True, slots=True, eq=False)
class DenseAnswer:
    """What some clicks on each photo are answered.

    Attributes:
        logits_bkmhw: Masks as the decoder draws them, the single one first.
        affine_bkmhw: The same with the affinity of the clicked cell to every cell added.
        iou_bkm: Predicted IoU, probability.
    """

    logits_bkmhw: Tensor
    affine_bkmhw: Tensor
    iou_bkm: Tensor


class DenseObjective(nn.Module):
    """Photos and true masks in, loss out, with many clicks on every photo.

    Masks are compared twice: as they are, and with the affinity added that the decoder's last
    attention sees between the clicked cell and every cell. So the embedding learns in all its
    channels what belongs together, not only in the few by which masks are drawn; and it learns from
    the first step on, while filters of masks are still blind and would end up drawing nothing.

    In a clip the first frame is clicked, and the masks are those of the last: so features learn to
    find an object again, too.

    Attributes:
        click_s: Seconds spent on choosing cells, since it was last set to 0.

    Args:
        model: The model that learns.
        rules: How masks are compared with the true ones; `object_score` plays no part.
        clicks: Most cells clicked on a photo.
        boxes: Probability with which a batch is prompted with the boxes of what is clicked.
    """

    def __init__(
        self, model: Sam2VideoModel, rules: LossRules, clicks: int, boxes: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        self.rules = rules
        self.clicks, self.boxes = clicks, boxes
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
            plan_seed: Decides between clicks and boxes; parts of one batch need the same.
            num_objects: Not used.
        """
        last = clips.shape[1] - 1
        ends = clips if last < 1 else clips[:, [0, last]]
        features = self.model.encode_image(ends.flatten(0, 1))
        return self.compare(features, labels, seeds, plan_seed)

    def compare(
        self,
        features: FrameFeatures,
        labels: Tensor,
        seeds: Tensor | None = None,
        plan_seed: int | None = None,
    ) -> TrainingOutput:
        """Compute the loss of frames that are encoded already.

        Args:
            features: First and last frame of each clip in turn, or the photos.
            labels: As in `forward`.
            seeds: As in `forward`.
            plan_seed: As in `forward`.
        """
        frames = len(features.embedding_bchw) // len(labels)
        first, last = _every(features, frames, 0), _every(features, frames, frames - 1)
        grid = (first.embedding_bchw.shape[-2], first.embedding_bchw.shape[-1])
        begun = time.perf_counter()
        clicks = choose_cells(labels[:, :, 0], grid, self.clicks, seeds)
        plan = None if plan_seed is None else torch.Generator().manual_seed(plan_seed)
        if torch.rand((), generator=plan).item() < self.boxes:
            prompts = _boxes(labels[:, :, 0], clicks, plan)
        else:
            prompts = _clicks(clicks, grid[1], labels.shape[-1])
        self.click_s += time.perf_counter() - begun
        answer = self.answer(first, last, *prompts, clicks.cell_bk)
        photo_q, click_q = clicks.real_bk.nonzero(as_tuple=True)
        truth_qhw = labels[photo_q, clicks.object_bk[photo_q, click_q], -1]
        parts = (answer.logits_bkmhw, answer.affine_bkmhw, answer.iou_bkm)
        output = self._output([one[photo_q, click_q] for one in parts], truth_qhw, photo_q)
        output.loss = output["loss"] + CENTERING * (shared_by_all(features) + excess(features))
        return output

    def answer(
        self,
        first: FrameFeatures,
        last: FrameFeatures,
        points_bkt2: Tensor,
        labels_bkt: Tensor,
        cell_bk: Tensor,
    ) -> DenseAnswer:
        """Draw the masks of what is clicked.

        Args:
            first: Frames that are clicked.
            last: Frames whose masks are wanted; the same for photos.
            points_bkt2: Clicks or corners of boxes, model pixels.
            labels_bkt: Their kinds.
            cell_bk: Cells of the clicks, or inside what the boxes mean.
        """
        model, decoder = self.model, self.model.mask_decoder
        sparse_bktc, _ = model.prompt_encoder(points_bkt2, labels_bkt)
        tokens_bktc = self._ask(first, sparse_bktc)
        mask_tokens_bkmc = tokens_bktc[:, :, 2 : 2 + decoder.num_mask_tokens]
        filters_bkmc = torch.stack(
            [
                mlp(mask_tokens_bkmc[:, :, m])
                for m, mlp in enumerate(decoder.output_hypernetworks_mlps)
            ],
            dim=2,
        )
        image_bnc = self._looked_at(last)[-1]
        drawn_bqhw = decoder.draw_filters(
            image_bnc[:, None],
            filters_bkmc.flatten(1, 2)[:, None],
            [last.fine_bchw, last.coarse_bchw, last.embedding_bchw],
        )[:, 0]
        clicked_bnc = self._placed(self._looked_at(first)[-1])[:, 0]
        affinity_bqhw = self._affinity(
            clicked_bnc.take_along_dim(cell_bk[..., None], dim=1), image_bnc
        ).unflatten(2, last.embedding_bchw.shape[-2:])
        affine_bqhw = drawn_bqhw + functional.interpolate(
            affinity_bqhw, drawn_bqhw.shape[-2:], mode="bilinear"
        )
        shape = filters_bkmc.shape[1:3]
        iou_bkm = decoder.iou_prediction_head(tokens_bktc[:, :, 1]).sigmoid()
        return DenseAnswer(drawn_bqhw.unflatten(1, shape), affine_bqhw.unflatten(1, shape), iou_bkm)

    def _looked_at(self, features: FrameFeatures) -> list[Tensor]:
        """List the image tokens that each layer of the transformer looks at, `(b, n, c)` each."""
        embedding_bchw = self.model.condition_on_memory(features, None)
        no_mask_1c = self.model.prompt_encoder.no_mask_embed.weight
        image_bnc = embedding_bchw.flatten(2).transpose(1, 2) + no_mask_1c
        found = [image_bnc]
        for layer in self.model.mask_decoder.transformer.layers:
            found.append(cast(TwoWayBlock, layer).layer_norm4(found[-1]))
        return found

    def _ask(self, features: FrameFeatures, prompts_bktc: Tensor) -> Tensor:
        """Run the transformer's tokens, its image tokens looking at nothing.

        Source: sam2/modeling/sam/transformer.py:20-187 @ 2b90b9f.
        """
        decoder, images = self.model.mask_decoder, self._looked_at(features)
        own_tc = torch.cat(
            (decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight)
        )
        own_bktc = own_tc.expand(*prompts_bktc.shape[:2], -1, -1)
        positions_bktc = torch.cat((own_bktc, prompts_bktc.to(own_tc.dtype)), dim=2)
        tokens_bktc = positions_bktc
        for layer, image_bnc in zip(decoder.transformer.layers, images, strict=False):
            block = cast(TwoWayBlock, layer)
            if block.first:
                tokens_bktc = block.self_attn(tokens_bktc, tokens_bktc, tokens_bktc)
            else:
                asking_bktc = tokens_bktc + positions_bktc
                tokens_bktc = tokens_bktc + block.self_attn(asking_bktc, asking_bktc, tokens_bktc)
            tokens_bktc = block.layer_norm1(tokens_bktc)
            found_bktc = self._look(
                block.cross_attn_token_to_image, tokens_bktc + positions_bktc, image_bnc
            )
            tokens_bktc = block.layer_norm2(tokens_bktc + found_bktc)
            tokens_bktc = block.layer_norm3(tokens_bktc + block.mlp(tokens_bktc))
        last = decoder.transformer.final_attn_token_to_image
        found_bktc = self._look(last, tokens_bktc + positions_bktc, images[-1])
        return decoder.transformer.layer_norm_final_attn(tokens_bktc + found_bktc)

    def _look(self, attention: PromptAttention, asking_bktc: Tensor, image_bnc: Tensor) -> Tensor:
        """Let the tokens of all clicks look at one picture, which is laid out once."""
        found_b1qc = attention(
            asking_bktc.flatten(1, 2)[:, None], self._placed(image_bnc), image_bnc[:, None]
        )
        return found_b1qc[:, 0].unflatten(1, asking_bktc.shape[1:3])

    def _placed(self, image_bnc: Tensor) -> Tensor:
        """Add their places to image tokens, `(b, 1, n, c)`."""
        positions_1chw = self.model.get_image_wide_positional_embeddings()
        return (image_bnc + positions_1chw.flatten(2).transpose(1, 2).to(image_bnc.dtype))[:, None]

    def _affinity(self, clicked_bkc: Tensor, image_bnc: Tensor) -> Tensor:
        """Weigh every cell by how much clicked ones would look at it for a mask, `(b, q, n)`."""
        decoder = self.model.mask_decoder
        attention = decoder.transformer.final_attn_token_to_image
        asking_bkmc = clicked_bkc[:, :, None] + decoder.mask_tokens.weight.to(clicked_bkc.dtype)
        key_bnc = attention.k_proj(self._placed(image_bnc)[:, 0])
        # attention, too, is blind to what all cells share
        key_bnc = key_bnc - key_bnc.mean(dim=1, keepdim=True)
        scale = AFFINITY_SCALE * attention.scaling / attention.num_heads
        return attention.q_proj(asking_bkmc).flatten(1, 2) @ key_bnc.transpose(1, 2) * scale

    def _output(
        self, answers: Sequence[Tensor], truth_qhw: Tensor, photo_q: Tensor
    ) -> TrainingOutput:
        """Compare the single mask and the best of the others with the true ones.

        What is told as the first IoU is that of masks as they are, as the last one that of masks
        with the affinity.
        """
        logits_qmhw, affine_qmhw, iou_qm = answers
        labels = read_labels(truth_qhw, self.rules)
        present_q1 = torch.full_like(labels.present_b1, PRESENT_LOGIT)
        parts, ious = [], []
        for masks_qmhw in (logits_qmhw, affine_qmhw):
            for some in (slice(1), slice(1, None)):
                loss, true_iou_qm = mask_losses(
                    masks_qmhw[:, some], iou_qm[:, some], present_q1, labels, self.rules
                )
                parts.append(loss)
            ious.append(true_iou_qm)
        summed = sum(parts[1:], start=parts[0])
        losses: MaskLosses = summed.divided(len(parts) / 2 * max(len(photo_q), 1))
        chosen_q1 = iou_qm[:, 1:].argmax(dim=1, keepdim=True)
        return TrainingOutput(
            loss=losses.total(self.rules),
            focal=losses.focal.detach(),
            dice=losses.dice.detach(),
            iou=losses.iou.detach(),
            object_score=losses.object_score.detach(),
            logits_tohw=logits_qmhw[:, 0].detach()[None],
            iou_to=ious[1].gather(1, chosen_q1)[:, 0][None],
            first_iou_to=ious[0].gather(1, chosen_q1)[:, 0][None],
            predicted_iou_to=iou_qm[:, 1:].gather(1, chosen_q1).detach()[:, 0][None],
            present_to=labels.present_b1[:, 0][None] > 0,
            clip_o=photo_q,
        )


def shared_by_all(features: FrameFeatures) -> Tensor:
    """Measure what the embeddings of all cells of all frames have in common; a scalar."""
    return features.embedding_bchw.float().mean(dim=(0, 2, 3)).square().mean()


def excess(features: FrameFeatures) -> Tensor:
    """Measure how much larger embeddings are than the code of places; a scalar.

    Where content is larger, tokens attend to what stands out in a picture instead of to the click.
    """
    energy = features.embedding_bchw.float().square().mean()
    return functional.relu(energy - PLACE_ENERGY)


def _clicks(clicks: CellClicks, columns: int, side: int) -> tuple[Tensor, Tensor]:
    """Click in the middle of cells: points `(b, k, 1, 2)`, model pixels, and their kinds."""
    xy_bk2 = torch.stack((clicks.cell_bk % columns, clicks.cell_bk // columns), dim=-1)
    points_bk12 = ((xy_bk2 + 0.5) * (side / columns) - 0.5)[:, :, None]
    return points_bk12, torch.ones_like(points_bk12[..., 0], dtype=torch.int64)


def _boxes(
    masks_bohw: Tensor, clicks: CellClicks, plan: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw sloppy boxes around what is clicked: corners `(b, k, 2, 2)`, and their kinds."""
    photo_b1 = torch.arange(len(masks_bohw), device=masks_bohw.device)[:, None]
    meant_qhw = masks_bohw[photo_b1, clicks.object_bk].flatten(0, 1)
    # the same for every photo of a batch, which has other objects
    numbers_k4 = torch.rand((clicks.object_bk.shape[1], 4), generator=plan).to(meant_qhw.device)
    numbers_q4 = numbers_k4.repeat(len(masks_bohw), 1)
    box_q4 = noisy_boxes(meant_qhw, numbers_q4, USUAL.box_noise, USUAL.box_noise_limit)
    corners_bk22 = box_q4.unflatten(0, clicks.object_bk.shape).unflatten(-1, (2, 2))
    kinds = torch.tensor(BOX_CORNER_LABELS, device=box_q4.device)
    return corners_bk22, kinds.expand(corners_bk22.shape[:3])


def _every(features: FrameFeatures, step: int, place: int) -> FrameFeatures:
    """Take one frame of each clip."""
    maps = (getattr(features, field.name) for field in fields(features))
    return FrameFeatures(*(one[place::step] for one in maps))


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
