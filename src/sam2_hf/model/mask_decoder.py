"""The mask decoder: prompt and image tokens to masks, predicted IoU and object score.

[`decode_gated`] draws only masks of sufficient predicted IoU: everything-mode decodes a thousand
prompts and keeps a few.

Suffixes: b = images, p = objects of an image (prompts), m = masks of an object, t = tokens, n =
cells of the image embedding, c = channels, h, w = rows and columns.
"""

import torch
from torch import Tensor, nn

from sam2_hf.model.configs.configuration_sam2 import Sam2MaskDecoderConfig
from sam2_hf.model.kernels.fast_paths import FastPath, decides_fast_paths, is_traced

from .layers import FeedForward, table_rows
from .mask_upscaling import MaskUpscaling, are_products, draw_masks
from .outputs import DecodedMasks, DecodedTokens, GatedMasks, PromptEmbeddings
from .two_way_transformer import NO_BIAS, AttentionBias, TwoWayTransformer, padding_mask


def stability_bp(logits_bphw: Tensor, delta: float) -> Tensor:
    """Compute the stability of masks: IoU of the thresholds +delta and -delta.

    Args:
        logits_bphw: Mask logits.
        delta: Shift of the threshold, logits.

    Returns:
        Stability, `(b, p)`, 0-1; 1 for a mask that is empty at both thresholds.

    Source: sam2/modeling/sam/mask_decoder.py:246-256 @ 2b90b9f.
    """
    inner_bp = (logits_bphw > delta).sum(dim=(-2, -1)).float()
    outer_bp = (logits_bphw > -delta).sum(dim=(-2, -1)).float()
    return torch.where(outer_bp > 0, inner_bp / outer_bp, 1.0)


def choose_single(logits_bpmhw: Tensor, iou_bpm: Tensor, config: Sam2MaskDecoderConfig) -> Tensor:
    """Pick the single mask where it is stable, else the best of the others.

    Args:
        logits_bpmhw: All candidates, the single mask first.
        iou_bpm: Their predicted IoU.
        config: Holds the shift and the required stability.

    Returns:
        Index of the chosen candidate, `(b, p, 1)` int64.

    Source: sam2/modeling/sam/mask_decoder.py:258-295 @ 2b90b9f.
    """
    stability = stability_bp(logits_bpmhw[:, :, 0], config.dynamic_multimask_stability_delta)
    best_bp = 1 + iou_bpm[:, :, 1:].argmax(dim=-1)
    is_stable_bp = stability >= config.dynamic_multimask_stability_thresh
    return torch.where(is_stable_bp, 0, best_bp)[..., None]


CELLS_AT_ONCE = 1024  # drawn at a time: 2 MB of their finest features
NUM_STATE_TOKENS = 2  # object score and predicted IoU; the mask tokens follow them


def config_field(name: str) -> property:
    """Make a property for a field of the config, as transformers' class has it."""

    def read(decoder: "MaskDecoder") -> object:
        return getattr(decoder.config, name)

    def write(decoder: "MaskDecoder", value: object) -> None:
        setattr(decoder.config, name, value)

    return property(read, write, doc=f"`config.{name}`.")


class MaskDecoder(FastPath, nn.Module):
    """Decode prompts into masks (SAM 2 paper, section 4, "Prompt encoder and mask decoder").

    Args:
        config: The decoder's config.
        narrows: Whether it has convolutions that narrow the two finer feature maps.

    Source: sam2/modeling/sam/mask_decoder.py:14-295 @ 2b90b9f.
    Differs: quality is predicted before masks are drawn, so that poor masks can be skipped; tensors
        that objects of an image share are never repeated; in inference upscaling is matrix products
        (equal up to the order of summation).
    """

    def __init__(self, config: Sam2MaskDecoderConfig, *, narrows: bool = True) -> None:
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
        self.narrows = narrows
        if narrows:
            self.conv_s0 = nn.Conv2d(width, width // 8, kernel_size=1)
            self.conv_s1 = nn.Conv2d(width, width // 4, kernel_size=1)

    @property
    def hidden_size(self) -> int:
        """Channels of the tokens."""
        return self.config.hidden_size

    @property
    def num_multimask_outputs(self) -> int:
        """Masks offered for an ambiguous prompt."""
        return self.config.num_multimask_outputs

    dynamic_multimask_via_stability = config_field("dynamic_multimask_via_stability")
    dynamic_multimask_stability_delta = config_field("dynamic_multimask_stability_delta")
    dynamic_multimask_stability_thresh = config_field("dynamic_multimask_stability_thresh")

    @decides_fast_paths
    def forward(  # noqa: PLR0913 - transformers' signature
        self,
        image_embeddings: Tensor,
        image_positional_embeddings: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,  # noqa: FBT001 - transformers' signature
        high_resolution_features: list[Tensor],
        attention_similarity: Tensor | None = None,
        target_embedding: Tensor | None = None,
        *,
        dynamic_multimask_via_stability: bool | None = None,
    ) -> DecodedMasks:
        """Decode prompts and draw the masks, with the arguments of transformers.

        Args:
            image_embeddings: Map at stride 16, `(b, 256, h, w)`.
            image_positional_embeddings: Position of each cell, `(1, 256, h, w)`; of a batch the
                first is used.
            sparse_prompt_embeddings: Tokens, `(b, p, t, 256)`; see `PromptEncoder.forward`.
            dense_prompt_embeddings: Added to the map, `(b * p, 256, h, w)` or `(b, ...)`.
            multimask_output: Three masks for each object, or one.
            high_resolution_features: Maps at strides 4 and 8: `(b, 32, 4h, 4w)`, `(b, 64, 2h, 2w)`.
            attention_similarity: See [`AttentionBias`].
            target_embedding: See [`AttentionBias`].
            dynamic_multimask_via_stability: Whether an unstable single mask is replaced by the
                best of the three; the config decides if None. Never in training.
        """
        maps = [*high_resolution_features, image_embeddings]
        prompts = PromptEmbeddings.of(sparse_prompt_embeddings, dense_prompt_embeddings)
        bias = AttentionBias(similarity=attention_similarity, target_bptc=target_embedding)
        positions_11nc = image_positional_embeddings[:1].flatten(2).transpose(1, 2)[:, None]
        tokens = self.decode_tokens(image_embeddings, positions_11nc, prompts, bias)
        logits_bpmhw = self.draw(tokens.image_bpnc, tokens.mask_tokens_bpmc, maps)
        if multimask_output:
            return DecodedMasks(
                logits_bpmhw[:, :, 1:],
                tokens.iou_bpm[:, :, 1:],
                tokens.mask_tokens_bpmc[:, :, 1:],
                tokens.score_bp1,
            )
        # An object pointer always comes from the single mask's token, as in training.
        pointer_token = tokens.mask_tokens_bpmc[:, :, :1]
        if dynamic_multimask_via_stability is None:
            dynamic_multimask_via_stability = self.config.dynamic_multimask_via_stability
        if self.training or not dynamic_multimask_via_stability:
            return DecodedMasks(
                logits_bpmhw[:, :, :1], tokens.iou_bpm[:, :, :1], pointer_token, tokens.score_bp1
            )
        chosen_bp1 = choose_single(logits_bpmhw, tokens.iou_bpm, self.config)
        logits = logits_bpmhw.take_along_dim(chosen_bp1[..., None, None], dim=2)
        return DecodedMasks(
            logits, tokens.iou_bpm.gather(2, chosen_bp1), pointer_token, tokens.score_bp1
        )

    def no_masks(self, image_embeddings: list[Tensor], *, multimask_output: bool) -> DecodedMasks:
        """Return the output of `forward` for no prompts, p = 0."""
        first = image_embeddings[-1]
        batch, _, height, width = first.shape
        many = self.num_mask_tokens - 1 if multimask_output else 1
        return DecodedMasks(
            first.new_zeros((batch, 0, many, 4 * height, 4 * width)),
            first.new_zeros((batch, 0, many)),
            first.new_zeros((batch, 0, many, self.config.hidden_size)),
            first.new_zeros((batch, 0, 1)),
        )

    def decode_tokens(
        self,
        embedding_bchw: Tensor,
        image_positions_11nc: Tensor,
        prompts: PromptEmbeddings,
        bias: AttentionBias,
    ) -> DecodedTokens:
        """Run the two-way transformer and the quality heads."""
        device = embedding_bchw.device
        own_tc = torch.cat(
            (
                table_rows(self.obj_score_token, 1, device),
                table_rows(self.iou_token, 1, device),
                table_rows(self.mask_tokens, self.num_mask_tokens, device),
            )
        )
        own_bptc = own_tc.expand(*prompts.sparse_bptc.shape[:2], -1, -1)
        tokens_bptc = torch.cat((own_bptc, prompts.sparse_bptc.to(own_tc.dtype)), dim=2)
        if prompts.keep_bpt is not None:
            padding = padding_mask(prompts.keep_bpt, own_tc.shape[0], own_tc.dtype)
            bias = AttentionBias(padding, bias.similarity, bias.target_bptc)
        image_b1nc = embedding_bchw.flatten(2).transpose(1, 2)[:, None]
        tokens_bptc, image_bpnc = self.transformer(
            tokens_bptc,
            image_b1nc + prompts.dense_bpnc,
            image_positions_11nc.to(own_tc.dtype),
            bias,
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
        skips = (image_embeddings[0], image_embeddings[1])
        layers = (self.upscale_conv1, self.upscale_conv2, self.upscale_layer_norm)
        if not are_products(*layers[:2]) or not self.may_read_weights(
            image_bpnc, filters_bpmc, *skips, parts=layers
        ):
            return draw_masks(self, image_bpnc, filters_bpmc, skips)
        upscale = MaskUpscaling.of(self, image_bpnc, fused=not is_traced())
        height, width = image_embeddings[-1].shape[-2:]
        sets = image_bpnc.shape[0] * image_bpnc.shape[1]
        rows = max(1, CELLS_AT_ONCE // (width * max(sets, 1)))
        if not upscale.fused or not image_bpnc.is_cpu or rows >= height:
            return upscale.draw(image_bpnc, filters_bpmc, skips)
        # upscaled cells are 16 times as large: a band at a time stays in the cache
        logits_bpmhw = filters_bpmc.new_empty((*filters_bpmc.shape[:3], 4 * height, 4 * width))
        for row in range(0, height, rows):
            tokens_bpnc = image_bpnc[:, :, row * width : (row + rows) * width]
            of_band = (
                skips[0][:, :, 4 * row : 4 * (row + rows)],
                skips[1][:, :, 2 * row : 2 * (row + rows)],
            )
            logits_bpmhw[..., 4 * row : 4 * (row + rows), :] = upscale.draw(
                tokens_bpnc, filters_bpmc, of_band
            )
        return logits_bpmhw


PROMPTS_AT_ONCE = 4  # their upscaled features, 8 MiB each, stay in the cache


@decides_fast_paths
def decode_gated(
    decoder: MaskDecoder,
    image_embeddings: list[Tensor],
    positions_11nc: Tensor,
    prompts: PromptEmbeddings,
    *,
    multimask: bool,
    min_iou: float,
) -> GatedMasks:
    """Draw the candidates of one image whose predicted IoU exceeds a threshold.

    Args:
        decoder: The mask decoder.
        image_embeddings: The image's maps at strides 4, 8 and 16.
        positions_11nc: Position of each cell.
        prompts: The prompts of one image.
        multimask: Offer the three masks of each prompt, or the single one (with its stability
            fallback).
        min_iou: Probability; 0 or less keeps every mask.

    Source: sam2/automatic_mask_generator.py:310-342 @ 2b90b9f.
    Differs: masks are filtered before they are drawn. The same masks pass, since the predicted IoU
        does not depend on the drawn mask.
    """
    tokens = decoder.decode_tokens(image_embeddings[-1], positions_11nc, prompts, NO_BIAS)
    iou_pm = tokens.iou_bpm[0]
    wanted_pm = torch.ones_like(iou_pm, dtype=torch.bool) if min_iou <= 0 else iou_pm > min_iou
    if multimask:
        wanted_pm = wanted_pm & (torch.arange(iou_pm.shape[1], device=iou_pm.device) > 0)
    drawn: list[tuple[Tensor, Tensor]] = []
    chosen: list[Tensor] = []
    # splitting no prompts gives one empty part, so `cat` always has input
    for prompts_p in wanted_pm.any(dim=1).nonzero()[:, 0].split(PROMPTS_AT_ONCE):
        logits_pmhw = _draw(decoder, tokens, image_embeddings, prompts_p)
        if multimask or not decoder.config.dynamic_multimask_via_stability:
            mask_pm = (
                wanted_pm[prompts_p] if multimask else wanted_pm[prompts_p] & _only_first(iou_pm)
            )
        else:
            choice_p1 = choose_single(logits_pmhw[None], iou_pm[prompts_p][None], decoder.config)[0]
            mask_pm = (
                torch.zeros_like(wanted_pm[prompts_p]).scatter(1, choice_p1, value=True)
                & wanted_pm[prompts_p]
            )
        index_m, mask_m = mask_pm.nonzero(as_tuple=True)
        drawn.append((logits_pmhw[index_m, mask_m], iou_pm[prompts_p[index_m], mask_m]))
        chosen.append(prompts_p[index_m])
    logits_mhw, iou_m = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    return GatedMasks(logits_mhw, iou_m, torch.cat(chosen))


def gated(decoded: DecodedMasks, min_iou: float) -> GatedMasks:
    """Select the masks that `decode_gated` would draw from all masks of one image.

    Args:
        decoded: Output of the mask decoder.
        min_iou: As in `decode_gated`.
    """
    iou_pm = decoded.iou_bpm[0]
    wanted_pm = torch.ones_like(iou_pm, dtype=torch.bool) if min_iou <= 0 else iou_pm > min_iou
    index_m = wanted_pm.nonzero()[:, 0]
    return GatedMasks(decoded.logits_bpmhw[0][wanted_pm], iou_pm[wanted_pm], index_m)


def _draw(
    decoder: MaskDecoder, tokens: DecodedTokens, image_embeddings: list[Tensor], prompts_p: Tensor
) -> Tensor:
    """Draw all candidates of some prompts, `(p, m, h, w)`."""
    return decoder.draw(
        tokens.image_bpnc[:, prompts_p], tokens.mask_tokens_bpmc[:, prompts_p], image_embeddings
    )[0]


def _only_first(iou_pm: Tensor) -> Tensor:
    """Mark the single mask among the candidates."""
    return torch.arange(iou_pm.shape[1], device=iou_pm.device) == 0
