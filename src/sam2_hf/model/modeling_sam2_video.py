"""SAM 2 for videos: the image model's parts, and a memory of earlier frames.

The model is stateless. Its public steps are the paper's: encode a frame, condition it on the
caller's memories, decode masks, encode a memory for the caller to keep.

Suffixes: b = objects, m = masks of an object, n = cells of the image embedding, t = points of an
object, p = pointers, c = memory channels (64), d = decoder channels (256), h, w = rows and columns.
"""

import math
from collections.abc import Iterator
from typing import Protocol, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils.generic import TransformersKwargs

from sam2_hf.model.configs.configuration_sam2_video import EdgeTamVideoConfig, Sam2VideoConfig
from sam2_hf.model.kernels.fast_paths import fast_products
from sam2_hf.model.kernels.gpu_attention import Tiles, best_tiles

from .layers import FeedForward
from .memory_attention import MemoryAttention
from .memory_encoder import MemoryEncoder
from .memory_tokens import MemoryInputs, MemoryTokens, StaticMemoryInputs, pointer_tokens, time_code
from .outputs import FrameFeatures, ObjectMasks, Sam2VideoSegmentationOutput
from .position_encoding import sine_table
from .pretrained import Sam2VideoPreTrainedModel
from .prompt_encoder import NO_OBJECT, Prompts
from .promptable_model import PromptableModel, VideoModelSizes, feature_maps
from .spatial_perceiver import SpatialPerceiver, latent_places, latent_rotations

# Logits of a given mask, 0.99995 and 0.00005 as probabilities.
GIVEN_SCALE, GIVEN_SHIFT = 20.0, -10.0


class InferenceSession(Protocol):
    """Interface of a session, which is defined outside `model/`."""

    def segment_frame(
        self,
        model: "Sam2VideoModel",
        *,
        frame_idx: int | None,
        frame: Tensor | None,
        reverse: bool,
        remember: bool,
    ) -> Sam2VideoSegmentationOutput:
        """Segment one frame; see `Sam2VideoModel.forward`."""

    def iterate_frames(
        self,
        model: "Sam2VideoModel",
        *,
        start_frame_idx: int | None,
        max_frame_num_to_track: int | None,
        reverse: bool,
        show_progress_bar: bool,
    ) -> Iterator[Sam2VideoSegmentationOutput]:
        """Track frame by frame; see `Sam2VideoModel.propagate_in_video_iterator`."""


class Sam2VideoModel(VideoModelSizes, PromptableModel, Sam2VideoPreTrainedModel):
    """SAM 2 for videos, `model_type` `sam2_video`; 2.0 and 2.1 differ by two fields of the config.

    Source: sam2/modeling/sam2_base.py @ 2b90b9f.

    Example:
        >>> session = VideoSession.open(clip, model)
        >>> session.click(frame=0, object_id=1, xy=(115, 100))
        >>> masks = [result.masks[1] for result in session.propagate()]
    """

    config: Sam2VideoConfig
    _keys_to_ignore_on_load_unexpected = (r"^detector_model\.",)  # of a whole SAM 3

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__(config)
        self._num_maskmem: int | None = None
        width = config.vision_config.fpn_hidden_size
        memory_width = config.memory_encoder_output_channels
        self.memory_attention = MemoryAttention(config)
        self.memory_encoder = MemoryEncoder(config)
        self.spatial_perceiver = (
            SpatialPerceiver(config) if isinstance(config, EdgeTamVideoConfig) else None
        )
        self.memory_temporal_positional_encoding = nn.Parameter(
            torch.zeros(config.num_maskmem, 1, 1, memory_width)
        )
        # Never read: kept because every published checkpoint has it.
        self.no_memory_positional_encoding = nn.Parameter(torch.zeros(1, 1, width))
        self.no_object_pointer = nn.Parameter(torch.zeros(1, width))
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.object_pointer_proj = FeedForward((width, width, width), num_layers=3)
        self.temporal_positional_encoding_projection_layer = (
            nn.Linear(width, memory_width)
            if config.enable_temporal_pos_encoding_for_object_pointers
            else None
        )
        self.occlusion_spatial_embedding_parameter = (
            nn.Parameter(torch.zeros(1, memory_width))
            if config.enable_occlusion_spatial_embedding
            else None
        )
        self.post_init()

    @property
    def num_maskmem(self) -> int:
        """Spatial memories a frame attends to, all conditioning frames counted as one; 0 for none.

        Defaults to the config's. Setting it takes effect from the next frame on and is not saved:
        the config also gives the number of temporal codes.

        Source: sam2/modeling/sam2_base.py:513-547 @ 2b90b9f.
        """
        return self.config.num_maskmem if self._num_maskmem is None else self._num_maskmem

    @num_maskmem.setter
    def num_maskmem(self, number: int) -> None:
        """Attend to fewer memories, at most as many as there are temporal codes.

        Raises:
            ValueError: There are not enough temporal codes.
        """
        most = len(self.memory_temporal_positional_encoding)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= most:
            raise ValueError(
                f"num_maskmem={number!r} is impossible: this model can attend to 0 to {most} "
                "memories, for which it has temporal codes."
            )
        self._num_maskmem = number

    @property
    def num_memory_tokens(self) -> int:
        """Tokens per spatial memory."""
        return sum(self.config.memory_latents) or math.prod(self.grid)

    def memory_tokens(self, memory_bx: Tensor) -> Tensor:
        """Lay out what `encode_memory` returned as `(b, n, 64)`: a map row by row, or latents."""
        return memory_bx.flatten(2).transpose(1, 2) if self.spatial_perceiver is None else memory_bx

    def memory_tiles(self, slots: int, pointers: int) -> Tiles | None:
        """Find the best GPU tiles for memory attention; None for torch's attention.

        Args:
            slots: Spatial memories of an object.
            pointers: Its object pointers.
        """
        pieces = self.hidden_dim // self.mem_dim  # tokens of a pointer
        keys = slots * self.num_memory_tokens + pointers * pieces
        width = self.hidden_dim // self.config.memory_attention_downsample_rate
        sizes = (math.prod(self.grid), keys, width, self.mem_dim)
        return best_tiles(self.device, self.dtype, sizes)

    def encode_image(self, pixel_values: Tensor) -> FrameFeatures:
        """Encode frames.

        Args:
            pixel_values: Normalized frames, `(b, 3, image_size, image_size)`; one for all objects
                or one for each.

        Example:
            >>> model.encode_image(pixels).embedding_bchw.shape[-2:] == model.grid
            True
        """
        return FrameFeatures(*feature_maps(self._encode(pixel_values)))

    def condition_on_memory(
        self, features: FrameFeatures, memories: MemoryInputs | StaticMemoryInputs | None
    ) -> Tensor:
        """Condition a frame on the memories of objects.

        Args:
            features: The frame.
            memories: Their memories; None for a frame segmented from prompts alone.

        Returns:
            Image embedding, `(b, 256, h, w)`; `(1, 256, h, w)` without memories.

        Source: sam2/modeling/sam2_base.py:497-676 @ 2b90b9f.

        Example:
            >>> features = model.encode_image(pixels)
            >>> embedding = model.condition_on_memory(features, None)
        """
        embedding = features.embedding_bchw
        if self.num_maskmem == 0:  # no memory: every frame by itself
            objects = len(embedding) if memories is None else memories.num_objects
            return embedding.expand(objects, -1, -1, -1)
        if memories is None:
            return embedding + self.no_memory_embedding.transpose(1, 2)[..., None]
        _, channels, height, width = embedding.shape
        positions = sine_table(height, width, channels, embedding.device, embedding.dtype)
        tokens = self._tokens(memories, height, width)
        return self.memory_attention(embedding, positions, tokens)

    def attention_shares(
        self, features: FrameFeatures, memories: MemoryInputs, cells_n: Tensor | None = None
    ) -> Tensor:
        """Measure how much of a frame's attention each memory token gets, by plain attention.

        Args:
            features: The frame.
            memories: Memories of the objects.
            cells_n: Cells of the frame to take the mean over, boolean, row by row; all if None.

        Returns:
            Mean over cells, heads and layers, `(b, k)`: the tokens of each spatial memory, then
            those of each pointer. Each row adds up to 1.

        Example:
            >>> from sam2_hf.model.memory_tokens import MemoryInputs
            >>> features = model.encode_image(pixels)
            >>> memory = torch.zeros(1, *model.memory_shape)
            >>> shares = model.attention_shares(features, MemoryInputs((memory,), (1,)))
            >>> bool((shares.sum(dim=1) - 1).abs() < 1e-3)
            True
        """
        embedding = features.embedding_bchw
        _, channels, height, width = embedding.shape
        positions = sine_table(height, width, channels, embedding.device, embedding.dtype)
        tokens = self._tokens(memories, height, width)
        return self.memory_attention.shares(embedding, positions, tokens, cells_n)

    def decode_masks(
        self,
        features: FrameFeatures,
        embedding_bdhw: Tensor,
        prompts: Prompts,
        *,
        multimask_output: bool,
        dynamic_multimask_via_stability: bool | None = None,
    ) -> ObjectMasks:
        """Decode one mask for each object, with its quality, presence and pointer.

        Args:
            features: The frame.
            embedding_bdhw: Output of `condition_on_memory`.
            prompts: Prompts of each object in model pixels, shapes `(b, 1, ...)`; may be empty.
            multimask_output: Whether to choose among three masks, or take the single one.
            dynamic_multimask_via_stability: Whether an unstable single mask is replaced by the
                best of the three; the config decides if None.

        Source: sam2/modeling/sam2_base.py:257-413 @ 2b90b9f.

        Example:
            >>> from sam2_hf.model.prompt_encoder import Prompts
            >>> features = model.encode_image(pixels)
            >>> embedding = model.condition_on_memory(features, None)
            >>> click = Prompts(torch.tensor([[[[124.0, 144.0]]]]), torch.ones(1, 1, 1).long())
            >>> masks = model.decode_masks(features, embedding, click, multimask_output=True)
        """
        objects = max(
            [len(embedding_bdhw)]
            + [len(p) for p in (prompts.points_bpt2, prompts.masks_bphw) if p is not None]
        )
        embedding_bdhw = embedding_bdhw.expand(objects, -1, -1, -1)
        decoded = self.mask_decoder(
            embedding_bdhw,
            self.get_image_wide_positional_embeddings(),
            *self._embed(prompts.completed(self.mask_input_size, embedding_bdhw)),
            multimask_output=multimask_output,
            high_resolution_features=[features.fine_bchw, features.coarse_bchw],
            dynamic_multimask_via_stability=dynamic_multimask_via_stability,
        )
        score_b1 = decoded.score_bp1[:, 0]
        in_view_b1 = score_b1 > 0
        # float32: half precision would leave steps along outlines of enlarged masks
        candidates_bmhw = decoded.logits_bpmhw[:, 0].float()
        candidates_bmhw = candidates_bmhw.where(in_view_b1[..., None, None], NO_OBJECT)
        iou_bm = decoded.iou_bpm[:, 0]
        best_b1 = iou_bm.argmax(dim=-1, keepdim=True)
        token_bd = decoded.tokens_bpmc[:, 0].take_along_dim(best_b1[..., None], dim=1)[:, 0]
        return ObjectMasks(
            candidates_bmhw,
            iou_bm,
            candidates_bmhw.take_along_dim(best_b1[..., None, None], dim=1),
            iou_bm.gather(1, best_b1),
            self._pointer(self.object_pointer_proj(token_bd), in_view_b1),
            score_b1,
            candidate_tokens_bmd=decoded.tokens_bpmc[:, 0],
        )

    def object_pointers(self, token_bd: Tensor, score_b1: Tensor) -> Tensor:
        """Make the object pointers of chosen candidates, `(b, 256)`.

        `decode_masks` has made those of the candidates with the highest predicted IoU.

        Args:
            token_bd: Rows of `candidate_tokens_bmd`.
            score_b1: Object scores, logits.

        Example:
            >>> from sam2_hf.model.prompt_encoder import Prompts
            >>> features = model.encode_image(pixels)
            >>> embedding = features.embedding_bchw
            >>> masks = model.decode_masks(features, embedding, Prompts(), multimask_output=True)
            >>> pointer = model.object_pointers(masks.candidate_tokens_bmd[:, 0], masks.score_b1)
        """
        return self._pointer(self.object_pointer_proj(token_bd), score_b1 > 0)

    def use_mask_as_output(self, features: FrameFeatures, mask_b1hw: Tensor) -> ObjectMasks:
        """Use given masks as output; the decoder only computes their pointers.

        Args:
            features: The frame.
            mask_b1hw: Masks at input size, 0 and 1.

        Source: sam2/modeling/sam2_base.py:415-462 @ 2b90b9f.

        Example:
            >>> features = model.encode_image(pixels)
            >>> masks = model.use_mask_as_output(features, torch.ones_like(pixels[:, :1]))
        """
        mask_b1hw = mask_b1hw.to(self.dtype)
        full_b1hw = mask_b1hw.float() * GIVEN_SCALE + GIVEN_SHIFT
        logits_b1hw = functional.interpolate(
            full_b1hw, self.mask_input_size, mode="bilinear", antialias=True
        )
        with fast_products(self.mask_downsample):
            prompts = Prompts(masks_bphw=self.mask_downsample(mask_b1hw))
        # The embedding without the no-memory code, as in training.
        found = self.decode_masks(
            features, features.embedding_bchw, prompts, multimask_output=False
        )
        in_view_b1 = mask_b1hw.flatten(1).gt(0).any(dim=1, keepdim=True)
        iou_b1 = torch.ones_like(found.score_b1)
        return ObjectMasks(
            logits_b1hw,
            iou_b1,
            logits_b1hw,
            iou_b1,
            self._pointer(found.pointer_bd, in_view_b1),
            in_view_b1.to(found.score_b1.dtype) * GIVEN_SCALE + GIVEN_SHIFT,
            full_b1hw,
        )

    def enlarged_masks(self, logits_b1hw: Tensor) -> Tensor:
        """Enlarge mask logits, of any size, to that which the memory encoder reads.

        Returns:
            Logits at input size; at 16 pixels per cell where a cell of the input has fewer.

        Example:
            >>> low = torch.zeros(1, 1, *model.mask_input_size)
            >>> model.enlarged_masks(low).shape[-1] == model.image_size
            True
        """
        sides, stride = (self.image_size,) * 2, self.config.mask_downsampler_total_stride
        sides_of_memory = (self.grid[0] * stride, self.grid[1] * stride)
        if logits_b1hw.shape[-2:] not in (sides, sides_of_memory):
            logits_b1hw = functional.interpolate(logits_b1hw.float(), sides, mode="bilinear")
        if sides != sides_of_memory and logits_b1hw.shape[-2:] != sides_of_memory:
            logits_b1hw = functional.interpolate(
                logits_b1hw.float(), sides_of_memory, mode="bilinear", antialias=True
            )
        return logits_b1hw

    def encode_memory(
        self, features: FrameFeatures, logits_b1hw: Tensor, score_b1: Tensor, *, binarize: bool
    ) -> Tensor:
        """Encode the memory of a frame and its masks.

        Args:
            features: The frame.
            logits_b1hw: Mask logits, enlarged to the input size if smaller.
            score_b1: Object scores, logits.
            binarize: Whether to encode the thresholded mask instead of probabilities.

        Returns:
            Spatial memory, `(b, 64, h, w)` or compressed `(b, l, 64)`; opaque to a session.

        Source: sam2/modeling/sam2_base.py:678-726 @ 2b90b9f.

        Example:
            >>> features = model.encode_image(pixels)
            >>> logits, score = torch.zeros_like(pixels[:, :1]), torch.ones(1, 1)
            >>> memory = model.encode_memory(features, logits, score, binarize=False)
            >>> memory.shape[1:] == model.memory_shape
            True
        """
        logits_b1hw = self.enlarged_masks(logits_b1hw)
        shares_b1hw = (logits_b1hw > 0).float() if binarize else logits_b1hw.sigmoid()
        scale, shift = self.config.sigmoid_scale_for_mem_enc, self.config.sigmoid_bias_for_mem_enc
        mask_b1hw = (shares_b1hw * scale + shift).to(features.embedding_bchw.dtype)
        memory_bchw = self.memory_encoder(features.embedding_bchw, mask_b1hw)
        if (mark_1c := self.occlusion_spatial_embedding_parameter) is not None:
            hidden_b1 = (score_b1 <= 0).to(memory_bchw.dtype)
            memory_bchw = memory_bchw + (hidden_b1 * mark_1c)[..., None, None]
        if self.spatial_perceiver is None:
            return memory_bchw
        latents_blc: Tensor = self.spatial_perceiver(memory_bchw)
        return latents_blc

    def forward(
        self,
        inference_session: InferenceSession,
        frame_idx: int | None = None,
        frame: Tensor | None = None,
        reverse: bool = False,  # noqa: FBT001, FBT002
        run_mem_encoder: bool = True,  # noqa: FBT001, FBT002
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> Sam2VideoSegmentationOutput:
        """Segment one frame of a session, with transformers' signature.

        Args:
            inference_session: A `Sam2VideoInferenceSession`, which does the work.
            frame_idx: The frame; None for a new one of a stream.
            frame: Its pixel values, `(3, image_size, image_size)`, when streaming.
            reverse: Whether time runs backwards.
            run_mem_encoder: Whether to encode a memory of the frame.
            **kwargs: Ignored, as in transformers.

        Example:
            >>> model(session, frame_idx=0).object_ids
            [1]
        """
        return inference_session.segment_frame(
            self,
            frame_idx=frame_idx,
            frame=frame,
            reverse=reverse,
            remember=run_mem_encoder,
        )

    def propagate_in_video_iterator(
        self,
        inference_session: InferenceSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,  # noqa: FBT001, FBT002
        show_progress_bar: bool = False,  # noqa: FBT001, FBT002
    ) -> Iterator[Sam2VideoSegmentationOutput]:
        """Track through a session's video, with transformers' signature.

        Args:
            inference_session: A `Sam2VideoInferenceSession`, which does the work.
            start_frame_idx: First frame; the earliest prompted one by default.
            max_frame_num_to_track: Number of frames after the first; all by default.
            reverse: Whether time runs backwards.
            show_progress_bar: Whether to show one.

        Example:
            >>> outputs = model.propagate_in_video_iterator(session, start_frame_idx=0)
            >>> [output.frame_idx for output in outputs]
            [0, 1, 2]
        """
        return inference_session.iterate_frames(
            self,
            start_frame_idx=start_frame_idx,
            max_frame_num_to_track=max_frame_num_to_track,
            reverse=reverse,
            show_progress_bar=show_progress_bar,
        )

    def _tokens(
        self, memories: MemoryInputs | StaticMemoryInputs, height: int, width: int
    ) -> MemoryTokens:
        """Build the tokens of memory attention: content, positions, number without a position."""
        temporal = self.memory_temporal_positional_encoding
        channels, table = temporal.shape[-1], None
        if self.spatial_perceiver is None:
            place_1chw = sine_table(height, width, channels, temporal.device, temporal.dtype)
            place_1nc = place_1chw.flatten(2).transpose(1, 2)
        else:
            latents, attention = self.config.memory_latents, self.memory_attention
            place_1nc = latent_places(latents, channels, temporal.device, temporal.dtype)
            sizes = (attention.head_channels, attention.theta, temporal.device)
            table = latent_rotations(latents, *sizes)
        content, positions = memories.spatial_tokens(self.memory_tokens, place_1nc, temporal)
        keys = content + positions
        pointers, times = memories.pointers_bpd, memories.times_bp
        if pointers is None or times is None:
            return MemoryTokens(content, keys, 0, table=table)
        pieces, codes = pointer_tokens(pointers, self._time_codes(times, channels))
        tokens = MemoryTokens(
            torch.cat((content, pieces), dim=1),
            torch.cat((keys, pieces + codes), dim=1),
            pieces.shape[1],
            table=table,
        )
        if isinstance(memories, StaticMemoryInputs):
            return memories.with_padding_bias(tokens)
        return tokens

    def _time_codes(self, times_bp: Tensor, channels: int) -> Tensor:
        """Encode the times of pointers, `(b, p, 64)`; zeros in SAM 2.0."""
        projection = self.temporal_positional_encoding_projection_layer
        weight = self.memory_temporal_positional_encoding
        if projection is None:
            return weight.new_zeros(*times_bp.shape, channels)
        return projection(time_code(times_bp, self.hidden_dim).to(weight.dtype))

    def _pointer(self, pointer_bd: Tensor, in_view_b1: Tensor) -> Tensor:
        """Replace the pointer of an occluded object."""
        return pointer_bd.where(in_view_b1, self.no_object_pointer.to(pointer_bd.dtype))
