"""The mask decoder: from prompt and image tokens to masks, their quality, the object's presence.

Everything is token-major, channels last: a transposed convolution of kernel and stride 2 is then
one matrix product per cell, and only the finished masks are put into image order.

Suffixes: b = images, p = objects of an image, m = masks of an object, t = tokens, n = cells of the
image embedding, s = sub-cells of a cell, c = channels, h, w = rows and columns.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_sam2 import Sam2MaskDecoderConfig
from .layers import FeedForward
from .mask_choice import choose_single
from .outputs import DecodedMasks, DecodedTokens, PromptEmbeddings
from .two_way_transformer import AttentionHints, TwoWayTransformer, padding_mask

NUM_STATE_TOKENS = 2  # object score and predicted IoU; the mask tokens follow them


class MaskDecoder(nn.Module):
    """Decode prompts into masks (SAM 2 paper, section 4, "Prompt encoder and mask decoder").

    Source: sam2/modeling/sam/mask_decoder.py:14-295 @ 2b90b9f.
    Differs: quality is known before masks are drawn, so that hopeless masks can be left out; what
        objects of an image share is never repeated; upscaling is matrix products (equal up to the
        order of summation).
    """

    def __init__(self, config: Sam2MaskDecoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.num_mask_tokens = config.num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, width)
        self.obj_score_token = nn.Embedding(1, width)
        self.transformer = TwoWayTransformer(config)
        self.upscale_conv1 = nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2)
        self.upscale_conv2 = nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2)
        self.upscale_layer_norm = nn.LayerNorm(width // 4, eps=1e-6)
        self.output_hypernetworks_mlps = nn.ModuleList(
            FeedForward((width, width, width // 8), num_layers=3)
            for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = FeedForward(
            (width, config.iou_head_hidden_dim, self.num_mask_tokens),
            num_layers=config.iou_head_depth,
        )
        self.pred_obj_score_head = FeedForward((width, width, 1), num_layers=3)
        self.conv_s0 = nn.Conv2d(width, width // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(width, width // 4, kernel_size=1)

    def forward(
        self,
        image_embeddings: list[Tensor],
        image_positions_11nc: Tensor,
        prompts: PromptEmbeddings,
        hints: AttentionHints,
        *,
        multimask_output: bool,
    ) -> DecodedMasks:
        """Decode prompts and draw the masks.

        Args:
            image_embeddings: Maps at strides 4, 8 and 16: `(b, 32, 4h, 4w)`, `(b, 64, 2h, 2w)`,
                `(b, 256, h, w)`.
            image_positions_11nc: Position of each cell of the last one.
            prompts: Encoded prompts.
            hints: See [`AttentionHints`]; its padding is filled in here.
            multimask_output: Three masks for each object, or one.
        """
        tokens = self.decode_tokens(image_embeddings[-1], image_positions_11nc, prompts, hints)
        logits_bpmhw = self.draw(tokens.image_bpnc, tokens.mask_tokens_bpmc, image_embeddings)
        if multimask_output:
            return DecodedMasks(
                logits_bpmhw[:, :, 1:],
                tokens.iou_bpm[:, :, 1:],
                tokens.mask_tokens_bpmc[:, :, 1:],
                tokens.score_bp1,
            )
        # An object pointer always comes from the single mask's token, as in training, whichever
        # mask is chosen.
        pointer_token = tokens.mask_tokens_bpmc[:, :, :1]
        if self.training or not self.config.dynamic_multimask_via_stability:
            return DecodedMasks(
                logits_bpmhw[:, :, :1], tokens.iou_bpm[:, :, :1], pointer_token, tokens.score_bp1
            )
        chosen_bp1 = choose_single(logits_bpmhw, tokens.iou_bpm, self.config)
        logits = logits_bpmhw.take_along_dim(chosen_bp1[..., None, None], dim=2)
        return DecodedMasks(
            logits, tokens.iou_bpm.gather(2, chosen_bp1), pointer_token, tokens.score_bp1
        )

    def decode_tokens(
        self,
        embedding_bchw: Tensor,
        image_positions_11nc: Tensor,
        prompts: PromptEmbeddings,
        hints: AttentionHints,
    ) -> DecodedTokens:
        """Run the two-way transformer and the quality heads."""
        own_tc = torch.cat(
            (self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight)
        )
        own_bptc = own_tc.expand(*prompts.sparse_bptc.shape[:2], -1, -1)
        tokens_bptc = torch.cat((own_bptc, prompts.sparse_bptc.to(own_tc.dtype)), dim=2)
        if prompts.keep_bpt is not None:
            padding = padding_mask(prompts.keep_bpt, own_tc.shape[0], own_tc.dtype)
            hints = AttentionHints(padding, hints.similarity, hints.target_bptc)
        image_b1nc = embedding_bchw.flatten(2).transpose(1, 2)[:, None]
        tokens_bptc, image_bpnc = self.transformer(
            tokens_bptc,
            image_b1nc + prompts.dense_bpnc,
            image_positions_11nc.to(own_tc.dtype),
            hints,
        )
        first_mask = NUM_STATE_TOKENS
        return DecodedTokens(
            image_bpnc=image_bpnc,
            mask_tokens_bpmc=tokens_bptc[:, :, first_mask : first_mask + self.num_mask_tokens],
            iou_bpm=self.iou_prediction_head(tokens_bptc[:, :, 1]).sigmoid(),
            score_bp1=self.pred_obj_score_head(tokens_bptc[:, :, 0]),
        )

    def draw(
        self, image_bpnc: Tensor, mask_tokens_bpmc: Tensor, image_embeddings: list[Tensor]
    ) -> Tensor:
        """Draw all candidate masks, `(b, p, m, 4h, 4w)`, logits."""
        filters = [
            mlp(mask_tokens_bpmc[:, :, m]) for m, mlp in enumerate(self.output_hypernetworks_mlps)
        ]
        return self.draw_filters(image_bpnc, torch.stack(filters, dim=2), image_embeddings)

    def draw_filters(
        self, image_bpnc: Tensor, filters_bpmc: Tensor, image_embeddings: list[Tensor]
    ) -> Tensor:
        """Upscale the image tokens and apply mask filters to every sub-cell.

        Args:
            image_bpnc: Image tokens after the transformer.
            filters_bpmc: One filter per mask, `(b, p, m, 32)`.
            image_embeddings: As in `forward`.

        Returns:
            Mask logits, `(b, p, m, 4h, 4w)`.
        """
        skip_fine, skip_coarse, embedding = image_embeddings
        grid = embedding.shape[-2:]
        skip_b1nsc = _cells(skip_coarse)[:, None]  # (b, 1, h * w, 4, 64)
        skip_b1nsxc = _cells_of_cells(skip_fine)[:, None]  # (b, 1, h * w, 4, 4, 32)
        # in place: what a product just made is nobody else's, and new memory of this size is slow
        # to get
        fine_bpnsc = _up(image_bpnc, self.upscale_conv1).add_(skip_b1nsc)
        fine_bpnsc = functional.gelu(self.upscale_layer_norm(fine_bpnsc))
        finest_bpnsxc = functional.gelu(_up(fine_bpnsc, self.upscale_conv2).add_(skip_b1nsxc))
        logits = filters_bpmc @ finest_bpnsxc.flatten(2, 4).transpose(-1, -2)
        # (b, p, m, h, w, row, column, finer row, finer column) -> image order
        logits = logits.unflatten(-1, (*grid, 2, 2, 2, 2)).permute(0, 1, 2, 3, 5, 7, 4, 6, 8)
        return logits.flatten(6, 8).flatten(3, 5)


def _up(tokens: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """Transposed convolution of kernel and stride 2 on tokens: `(..., c)` -> `(..., 4, c out)`."""
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (c, c out, 2, 2) -> (4 * c out, c)
    bias = conv.bias.repeat(4) if conv.bias is not None else None
    return functional.linear(tokens, weight, bias).unflatten(-1, (4, -1))


def _cells(map_bchw: Tensor) -> Tensor:
    """Group a map by cells of 2 x 2: `(b, c, 2h, 2w)` -> `(b, h * w, 4, c)`."""
    height, width = map_bchw.shape[-2:]
    cells = (
        map_bchw.permute(0, 2, 3, 1).unflatten(2, (width // 2, 2)).unflatten(1, (height // 2, 2))
    )
    return cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _cells_of_cells(map_bchw: Tensor) -> Tensor:
    """Group a map by 2 x 2 within 4 x 4 cells: `(b, c, 4h, 4w)` -> `(b, h * w, 4, 4, c)`."""
    height, width = map_bchw.shape[-2:]
    cells = (
        map_bchw.permute(0, 2, 3, 1)
        .unflatten(2, (width // 4, 2, 2))
        .unflatten(1, (height // 4, 2, 2))
    )
    return cells.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)
