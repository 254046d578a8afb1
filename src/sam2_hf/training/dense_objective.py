"""Dense objective: dozens of clicks on a photo that is encoded once and decoded once.

Most of the cost of a click is the decoder's image-to-token attention and the image features updated
by it. Here tokens attend to the image but the image to no token, so everything large is shared. The
other layers are unchanged: with image-to-token layers initialized to zero, this equals the decoder.

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

PRESENT_LOGIT = 10.0  # the object score is not used here
# Initial attention logits of a cell to itself are about 20; logits of masks are small
AFFINITY_SCALE = 0.25
# Weight of the penalty on the common part of all cells. Without it, that part grows to ten times
# the differences between cells, and norms preserve both.
CENTERING = 0.3
PLACE_ENERGY = 0.5  # mean square of the sines and cosines of a place
USUAL = PromptSchedule()
PURITY = 4  # power of an object's coverage of a cell, so that inner cells are clicked


@dataclass(frozen=True, slots=True, eq=False)
class CellClicks:
    """Clicked cells of photos, and their objects.

    Attributes:
        object_bk: The object, int64.
        cell_bk: The cell in row-major order, int64.
        real_bk: False for padding, if a photo has no further cell to click.
    """

    object_bk: Tensor
    cell_bk: Tensor
    real_bk: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class DenseAnswer:
    """Masks of some clicks on each photo.

    Attributes:
        logits_bkmhw: Masks of the decoder, the single one first.
        affine_bkmhw: The same plus the affinity of the clicked cell to every cell.
        iou_bkm: Predicted IoU, probability.
    """

    logits_bkmhw: Tensor
    affine_bkmhw: Tensor
    iou_bkm: Tensor


class DenseObjective(nn.Module):
    """Loss of photos and true masks, with many clicks on every photo.

    Masks are compared twice: as they are, and plus the affinity between the clicked cell and every
    cell in the decoder's last attention. So all channels of the embedding learn which cells belong
    together, not only the few that masks are computed from; and they learn from the first step,
    while the hypernetworks' filters are still uninformative and would collapse to empty masks.

    In a clip the first frame is clicked, and the masks are those of the last, so that features also
    learn to re-identify an object.

    Attributes:
        click_s: Seconds spent on choosing cells, since it was last reset to 0.

    Args:
        model: The model to train.
        rules: Losses of masks; `object_score` is ignored.
        clicks: Maximum number of clicked cells of a photo.
        boxes: Probability that a batch is prompted with boxes of the clicked objects.
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
            seeds: One for each photo, `(b,)` int64, which determines its clicked cells; None uses
                torch's global generator.
            plan_seed: Seed of the choice between clicks and boxes; equal for parts of one batch.
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
        """Compute the loss of encoded frames.

        Args:
            features: First and last frame of each clip alternately, or the photos.
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
        output = self._output([part[photo_q, click_q] for part in parts], truth_qhw, photo_q)
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
        """Decode the masks of the clicked objects.

        Args:
            first: Clicked frames.
            last: Frames to segment; the same for photos.
            points_bkt2: Clicks or corners of boxes, model pixels.
            labels_bkt: Their labels.
            cell_bk: Cells of the clicks, or inside the objects of the boxes.
        """
        model, decoder = self.model, self.model.mask_decoder
        sparse_bktc, _ = model.prompt_encoder(points_bkt2, labels_bkt)
        tokens_bktc = self._run_tokens(first, sparse_bktc)
        mask_tokens_bkmc = tokens_bktc[:, :, 2 : 2 + decoder.num_mask_tokens]
        filters_bkmc = torch.stack(
            [
                mlp(mask_tokens_bkmc[:, :, m])
                for m, mlp in enumerate(decoder.output_hypernetworks_mlps)
            ],
            dim=2,
        )
        image_bnc = self._image_tokens(last)[-1]
        drawn_bqhw = decoder.draw_filters(
            image_bnc[:, None],
            filters_bkmc.flatten(1, 2)[:, None],
            [last.fine_bchw, last.coarse_bchw, last.embedding_bchw],
        )[:, 0]
        clicked_bnc = self._with_positions(self._image_tokens(first)[-1])[:, 0]
        affinity_bqhw = self._affinity(
            clicked_bnc.take_along_dim(cell_bk[..., None], dim=1), image_bnc
        ).unflatten(2, last.embedding_bchw.shape[-2:])
        affine_bqhw = drawn_bqhw + functional.interpolate(
            affinity_bqhw, drawn_bqhw.shape[-2:], mode="bilinear"
        )
        shape = filters_bkmc.shape[1:3]
        iou_bkm = decoder.iou_prediction_head(tokens_bktc[:, :, 1]).sigmoid()
        return DenseAnswer(drawn_bqhw.unflatten(1, shape), affine_bqhw.unflatten(1, shape), iou_bkm)

    def _image_tokens(self, features: FrameFeatures) -> list[Tensor]:
        """List the image tokens that each layer of the transformer attends to, `(b, n, c)` each."""
        embedding_bchw = self.model.condition_on_memory(features, None)
        no_mask_1c = self.model.prompt_encoder.no_mask_embed.weight
        image_bnc = embedding_bchw.flatten(2).transpose(1, 2) + no_mask_1c
        found = [image_bnc]
        for layer in self.model.mask_decoder.transformer.layers:
            found.append(cast(TwoWayBlock, layer).layer_norm4(found[-1]))
        return found

    def _run_tokens(self, features: FrameFeatures, prompts_bktc: Tensor) -> Tensor:
        """Run the transformer's tokens, without image-to-token attention.

        Source: sam2/modeling/sam/transformer.py:20-187 @ 2b90b9f.
        """
        decoder, images = self.model.mask_decoder, self._image_tokens(features)
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
            found_bktc = self._attend_to_image(
                block.cross_attn_token_to_image, tokens_bktc + positions_bktc, image_bnc
            )
            tokens_bktc = block.layer_norm2(tokens_bktc + found_bktc)
            tokens_bktc = block.layer_norm3(tokens_bktc + block.mlp(tokens_bktc))
        last = decoder.transformer.final_attn_token_to_image
        found_bktc = self._attend_to_image(last, tokens_bktc + positions_bktc, images[-1])
        return decoder.transformer.layer_norm_final_attn(tokens_bktc + found_bktc)

    def _attend_to_image(
        self, attention: PromptAttention, asking_bktc: Tensor, image_bnc: Tensor
    ) -> Tensor:
        """Attend from the tokens of all clicks to one image."""
        found_b1qc = attention(
            asking_bktc.flatten(1, 2)[:, None], self._with_positions(image_bnc), image_bnc[:, None]
        )
        return found_b1qc[:, 0].unflatten(1, asking_bktc.shape[1:3])

    def _with_positions(self, image_bnc: Tensor) -> Tensor:
        """Add position encodings to image tokens, `(b, 1, n, c)`."""
        positions_1chw = self.model.get_image_wide_positional_embeddings()
        return (image_bnc + positions_1chw.flatten(2).transpose(1, 2).to(image_bnc.dtype))[:, None]

    def _affinity(self, clicked_bkc: Tensor, image_bnc: Tensor) -> Tensor:
        """Compute the attention logits of clicked cells to every cell, `(b, q, n)`."""
        decoder = self.model.mask_decoder
        attention = decoder.transformer.final_attn_token_to_image
        asking_bkmc = clicked_bkc[:, :, None] + decoder.mask_tokens.weight.to(clicked_bkc.dtype)
        key_bnc = attention.k_proj(self._with_positions(image_bnc)[:, 0])
        # softmax is invariant to the part common to all cells
        key_bnc = key_bnc - key_bnc.mean(dim=1, keepdim=True)
        scale = AFFINITY_SCALE * attention.scaling / attention.num_heads
        return attention.q_proj(asking_bkmc).flatten(1, 2) @ key_bnc.transpose(1, 2) * scale

    def _output(
        self, answers: Sequence[Tensor], truth_qhw: Tensor, photo_q: Tensor
    ) -> TrainingOutput:
        """Compute the losses of the single mask and of the best of the others.

        The first IoU in the output is that of plain masks, the last one that of masks with
        affinity.
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
    """Mean square of the part common to the embeddings of all cells; a scalar."""
    return features.embedding_bchw.float().mean(dim=(0, 2, 3)).square().mean()


def excess(features: FrameFeatures) -> Tensor:
    """Mean square of embeddings beyond that of position encodings; a scalar.

    With larger content, tokens attend to salient parts of a picture instead of to the click.
    """
    energy = features.embedding_bchw.float().square().mean()
    return functional.relu(energy - PLACE_ENERGY)


def _clicks(clicks: CellClicks, columns: int, side: int) -> tuple[Tensor, Tensor]:
    """Click at the centers of cells: points `(b, k, 1, 2)`, model pixels, and their labels."""
    xy_bk2 = torch.stack((clicks.cell_bk % columns, clicks.cell_bk // columns), dim=-1)
    points_bk12 = ((xy_bk2 + 0.5) * (side / columns) - 0.5)[:, :, None]
    return points_bk12, torch.ones_like(points_bk12[..., 0], dtype=torch.int64)


def _boxes(
    masks_bohw: Tensor, clicks: CellClicks, plan: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw noisy boxes around the clicked objects: corners `(b, k, 2, 2)`, and their labels."""
    photo_b1 = torch.arange(len(masks_bohw), device=masks_bohw.device)[:, None]
    meant_qhw = masks_bohw[photo_b1, clicks.object_bk].flatten(0, 1)
    # the same for every photo of a batch, whose objects differ
    numbers_k4 = torch.rand((clicks.object_bk.shape[1], 4), generator=plan).to(meant_qhw.device)
    numbers_q4 = numbers_k4.repeat(len(masks_bohw), 1)
    box_q4 = noisy_boxes(meant_qhw, numbers_q4, USUAL.box_noise, USUAL.box_noise_limit)
    corners_bk22 = box_q4.unflatten(0, clicks.object_bk.shape).unflatten(-1, (2, 2))
    kinds = torch.tensor(BOX_CORNER_LABELS, device=box_q4.device)
    return corners_bk22, kinds.expand(corners_bk22.shape[:3])


def _every(features: FrameFeatures, step: int, place: int) -> FrameFeatures:
    """Select one frame of each clip."""
    maps = (getattr(features, field.name) for field in fields(features))
    return FrameFeatures(*(map_bchw[place::step] for map_bchw in maps))


@torch.no_grad()
def choose_cells(
    masks_bohw: Tensor, grid: tuple[int, int], clicks: int, seeds: Tensor | None = None
) -> CellClicks:
    """Choose cells to click: inner cells of objects, without repetition for an object.

    Objects are drawn in proportion to the square root of their area, so that small ones count.

    Args:
        masks_bohw: True masks, bool.
        grid: Rows and columns of the image embedding.
        clicks: Maximum number of clicks on a photo.
        seeds: One for each photo; None uses torch's global generator.
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
