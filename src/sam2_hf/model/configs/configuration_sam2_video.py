"""Configs of the whole SAM 2, with the fields of the published files."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig

from .configuration_base import UNSET, FromBundled, Ints
from .configuration_rules import ENCODERS
from .configuration_sam2 import (
    DecoderConfig,
    EdgeTamVisionConfig,
    EfficientTamVisionConfig,
    PromptConfig,
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    Sam3TrackerPromptEncoderConfig,
    VisionConfig,
)


@strict
class Sam2VideoPromptEncoderConfig(Sam2PromptEncoderConfig):
    """Describe a video model's prompt encoder; a [`Sam2PromptEncoderConfig`]."""

    model_type = "sam2_video_prompt_encoder"


@strict
class Sam2VideoMaskDecoderConfig(Sam2MaskDecoderConfig):
    """Describe a video model's mask decoder; a [`Sam2MaskDecoderConfig`]."""

    model_type = "sam2_video_mask_decoder"


PARTS: dict[str, type[Any]] = {
    "vision_config": Sam2VisionConfig,
    "prompt_encoder_config": Sam2VideoPromptEncoderConfig,
    "mask_decoder_config": Sam2VideoMaskDecoderConfig,
}


@strict
class Sam2VideoConfig(FromBundled, PreTrainedConfig):
    """Describe SAM 2 for videos; the defaults are SAM 2.1's.

    SAM 2.0 differs in two fields, `enable_occlusion_spatial_embedding` and
    `enable_temporal_pos_encoding_for_object_pointers`, which are both off there.

    Args:
        vision_config (`dict | Sam2VisionConfig`, *optional*): The image encoder.
        prompt_encoder_config (`dict | Sam2VideoPromptEncoderConfig`, *optional*): The prompt
            encoder.
        mask_decoder_config (`dict | Sam2VideoMaskDecoderConfig`, *optional*): The mask decoder.
        initializer_range (`float`, defaults to 0.02): Deviation of freshly drawn weights.
        num_maskmem (`int`, defaults to 7): Spatial memories a frame attends to; all conditioning
            frames count as one.
        image_size (`int`, defaults to 1024): Side of the square input, model pixels.
        sigmoid_scale_for_mem_enc (`float`, defaults to 20.0): Scale of a mask before the memory
            encoder.
        sigmoid_bias_for_mem_enc (`float`, defaults to -10.0): Shift of a mask before the memory
            encoder.
        enable_occlusion_spatial_embedding (`bool`, defaults to `True`): Whether the memory of an
            occluded object is marked.
        multimask_output_in_sam (`bool`, defaults to `True`): Whether few clicks yield three
            candidate masks.
        multimask_min_pt_num (`int`, defaults to 0): Fewest clicks that do.
        multimask_max_pt_num (`int`, defaults to 1): Most clicks that do.
        multimask_output_for_tracking (`bool`, defaults to `True`): Whether tracked frames do.
        max_object_pointers_in_encoder (`int`, defaults to 16): Object pointers a frame attends to.
        max_cond_frame_num (`int`, defaults to -1): Conditioning frames a frame attends to; -1 for
            all.
        enable_temporal_pos_encoding_for_object_pointers (`bool`, defaults to `True`): Whether
            pointers carry their age.
        memory_attention_hidden_size (`int`, defaults to 256): Channels of memory attention.
        memory_attention_num_layers (`int`, defaults to 4): Its layers.
        memory_attention_num_attention_heads (`int`, defaults to 1): Its heads.
        memory_attention_downsample_rate (`int`, defaults to 1): Factor by which its attentions
            reduce the channels.
        memory_attention_feed_forward_hidden_size (`int`, defaults to 2048): Hidden width of its
            MLPs.
        memory_attention_feed_forward_hidden_act (`str`, defaults to `"relu"`): Activation of its
            MLPs.
        memory_attention_dropout (`float`, defaults to 0.1): Its dropout while training.
        memory_attention_rope_feat_sizes (`list[int]`, defaults to `[64, 64]`): Grid of its rotary
            positions.
        memory_attention_rope_dropout (`float`, defaults to 0.1): Dropout of its attention weights
            while training.
        memory_encoder_hidden_size (`int`, defaults to 256): Channels inside the memory encoder.
        memory_encoder_output_channels (`int`, defaults to 64): Channels of a spatial memory.
        rope_parameters (`dict`, *optional*): Kind and base of the rotary positions.
        mask_downsampler_embed_dim (`int`, defaults to 256): Channels of the downsampled mask.
        mask_downsampler_kernel_size (`int`, defaults to 3): Kernel of the mask's convolutions.
        mask_downsampler_stride (`int`, defaults to 2): Stride of each.
        mask_downsampler_padding (`int`, defaults to 1): Padding of each.
        mask_downsampler_total_stride (`int`, defaults to 16): Stride of all together.
        mask_downsampler_hidden_act (`str`, defaults to `"gelu"`): Activation between them.
        memory_fuser_num_layers (`int`, defaults to 2): ConvNeXt blocks that fuse image and mask.
        memory_fuser_embed_dim (`int`, defaults to 256): Their channels.
        memory_fuser_intermediate_dim (`int`, defaults to 1024): Hidden width of their MLPs.
        memory_fuser_kernel_size (`int`, defaults to 7): Kernel of their depthwise convolutions.
        memory_fuser_padding (`int`, defaults to 3): Padding of these.
        memory_fuser_layer_scale_init_value (`float`, defaults to 1e-6): First value of their layer
            scale.
        memory_fuser_hidden_act (`str`, defaults to `"gelu"`): Their activation.

    Example:
        >>> Sam2VideoConfig.from_pretrained("sam2-hiera-micro").num_maskmem
        7
    """

    model_type = "sam2_video"
    default_rope_type = "axial"
    reads = tuple(kind for kind in ENCODERS if kind.endswith("_video"))
    sub_configs_defaults: ClassVar[dict[str, Any]] = PARTS
    nests_memory_mlp: ClassVar[bool] = False  # names of the MLPs of memory attention

    vision_config: VisionConfig = UNSET
    prompt_encoder_config: PromptConfig = UNSET
    mask_decoder_config: DecoderConfig = UNSET
    initializer_range: float = 0.02
    num_maskmem: int = 7
    image_size: int | list[int] | tuple[int, int] = 1024
    sigmoid_scale_for_mem_enc: float = 20.0
    sigmoid_bias_for_mem_enc: float = -10.0
    enable_occlusion_spatial_embedding: bool = True
    multimask_output_in_sam: bool = True
    multimask_min_pt_num: int = 0
    multimask_max_pt_num: int = 1
    multimask_output_for_tracking: bool = True
    max_object_pointers_in_encoder: int = 16
    max_cond_frame_num: int = -1
    enable_temporal_pos_encoding_for_object_pointers: bool = True
    memory_attention_hidden_size: int = 256
    memory_attention_num_layers: int = 4
    memory_attention_num_attention_heads: int = 1
    memory_attention_downsample_rate: int = 1
    memory_attention_feed_forward_hidden_size: int = 2048
    memory_attention_feed_forward_hidden_act: str = "relu"
    memory_attention_dropout: float | int = 0.1
    memory_attention_rope_feat_sizes: Ints = UNSET
    memory_attention_rope_dropout: float | int = 0.1
    memory_encoder_hidden_size: int = 256
    memory_encoder_output_channels: int = 64
    rope_parameters: dict[str, Any] | None = None
    mask_downsampler_embed_dim: int = 256
    mask_downsampler_kernel_size: int = 3
    mask_downsampler_stride: int = 2
    mask_downsampler_padding: int = 1
    mask_downsampler_total_stride: int = 16
    mask_downsampler_hidden_act: str = "gelu"
    memory_fuser_num_layers: int = 2
    memory_fuser_embed_dim: int = 256
    memory_fuser_intermediate_dim: int = 1024
    memory_fuser_kernel_size: int = 7
    memory_fuser_padding: int = 3
    memory_fuser_layer_scale_init_value: float = 1e-6
    memory_fuser_hidden_act: str = "gelu"

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the grid of the rotary positions where it is not given."""
        if self.memory_attention_rope_feat_sizes is None:
            self.memory_attention_rope_feat_sizes = [64, 64]
        super().__post_init__(**kwargs)

    @property
    def memory_latents(self) -> tuple[int, int]:
        """Latents that a spatial memory is compressed to, without and with a place.

        Both are 0 where it stays a map with one token per cell.
        """
        return 0, 0


@strict
class EdgeTamVideoConfig(Sam2VideoConfig):
    """Describe EdgeTAM for videos: a [`Sam2VideoConfig`] whose memories are compressed.

    Fields without a description are those of [`Sam2VideoConfig`].

    Args:
        vision_config (`dict | EdgeTamVisionConfig`, *optional*): The image encoder.
        memory_attention_num_layers (`int`, defaults to 2): Layers of memory attention.
        memory_attention_mlp_hidden_size (`int`, defaults to 2048): Hidden width of its MLPs.
        memory_attention_mlp_hidden_act (`str`, defaults to `"relu"`): Activation of its MLPs.
        memory_attention_rope_k_sizes (`list[int]`, defaults to `[16, 16]`): Grid of the latents
            with a place.
        perceiver_resampler_num_latents (`int`, defaults to 256): Latents that see the whole map.
        perceiver_resampler_num_latents_2d (`int`, defaults to 256): Latents that each see a window
            of it; a square number.
        perceiver_resampler_hidden_size (`int`, defaults to 64): Channels of a latent.
        perceiver_resampler_mlp_intermediate_size (`int`, defaults to 256): Hidden width of the
            perceiver's MLPs.
        perceiver_resampler_num_attention_heads (`int`, defaults to 1): Its heads.
        perceiver_resampler_attention_head_dim (`int`, defaults to 64): Channels of a head.
        perceiver_resampler_num_layers (`int`, defaults to 2): Its layers.
        perceiver_resampler_hidden_dropout (`float`, defaults to 0.0): Its dropout while training.
        perceiver_resampler_attention_dropout (`float`, defaults to 0.0): Dropout of its attention
            weights while training.

    Example:
        >>> EdgeTamVideoConfig().memory_latents
        (256, 256)
    """

    model_type = "edgetam_video"
    reads = ("edgetam_video",)
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        **PARTS,
        "vision_config": EdgeTamVisionConfig,
    }
    attribute_map: ClassVar[dict[str, str]] = {
        "memory_attention_feed_forward_hidden_size": "memory_attention_mlp_hidden_size",
        "memory_attention_feed_forward_hidden_act": "memory_attention_mlp_hidden_act",
    }
    nests_memory_mlp: ClassVar[bool] = True

    memory_attention_num_layers: int = 2
    memory_attention_mlp_hidden_size: int = 2048
    memory_attention_mlp_hidden_act: str = "relu"
    memory_attention_rope_k_sizes: Ints = UNSET
    perceiver_resampler_num_latents: int = 256
    perceiver_resampler_num_latents_2d: int = 256
    perceiver_resampler_hidden_size: int = 64
    perceiver_resampler_mlp_intermediate_size: int = 256
    perceiver_resampler_num_attention_heads: int = 1
    perceiver_resampler_attention_head_dim: int = 64
    perceiver_resampler_num_layers: int = 2
    perceiver_resampler_hidden_dropout: float | int = 0.0
    perceiver_resampler_attention_dropout: float | int = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the grid of the latents where it is not given."""
        if self.memory_attention_rope_k_sizes is None:
            self.memory_attention_rope_k_sizes = [16, 16]
        super().__post_init__(**kwargs)

    @property
    def memory_latents(self) -> tuple[int, int]:
        """Latents that a spatial memory is compressed to, without and with a place."""
        return self.perceiver_resampler_num_latents, self.perceiver_resampler_num_latents_2d


@strict
class Sam3TrackerVideoConfig(Sam2VideoConfig):
    """Describe SAM 3's tracker for videos: a [`Sam2VideoConfig`] with SAM 3's image encoder.

    Fields without a description are those of [`Sam2VideoConfig`].

    Args:
        vision_config (`dict | transformers.Sam3VisionConfig`, *optional*): The image encoder.
        prompt_encoder_config (`dict | Sam3TrackerPromptEncoderConfig`, *optional*): The prompt
            encoder.
        image_size (`int`, defaults to 1008): Side of the square input, model pixels.
        max_cond_frame_num (`int`, defaults to 4): Conditioning frames a frame attends to.
        memory_attention_rope_feat_sizes (`list[int]`, defaults to `[72, 72]`): Grid of the rotary
            positions.

    Example:
        >>> Sam3TrackerVideoConfig().max_cond_frame_num
        4
    """

    model_type = "sam3_tracker_video"
    reads = ("sam3_tracker_video",)
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        **PARTS,
        "vision_config": Sam3VisionConfig,
        "prompt_encoder_config": Sam3TrackerPromptEncoderConfig,
    }

    image_size: int | list[int] | tuple[int, int] = 1008
    max_cond_frame_num: int = 4

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the grid of the rotary positions where it is not given."""
        if self.memory_attention_rope_feat_sizes is None:
            self.memory_attention_rope_feat_sizes = [72, 72]
        super().__post_init__(**kwargs)


@strict
class EfficientTamVideoConfig(Sam2VideoConfig):
    """Describe EfficientTAM for videos: a [`Sam2VideoConfig`] with another image encoder.

    Fields without a description are those of [`Sam2VideoConfig`].

    Args:
        vision_config (`dict | EfficientTamVisionConfig`, *optional*): The image encoder.
        enable_occlusion_spatial_embedding (`bool`, defaults to `False`): Whether the memory of an
            occluded object is marked.
        enable_temporal_pos_encoding_for_object_pointers (`bool`, defaults to `False`): Whether
            pointers carry their age.
        memory_attention_pooling (`str`, defaults to `"none"`): Whether memory attention reads the
            means of 2 x 2 cells once there are several memories: "none", or with the number of
            cells weighed in the "scores" (the original's models `_1`) or in the "keys" (`_2`).

    Example:
        >>> EfficientTamVideoConfig().memory_attention_pooling
        'none'
    """

    model_type = "efficienttam_video"
    reads = ("efficienttam_video",)
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        **PARTS,
        "vision_config": EfficientTamVisionConfig,
    }

    enable_occlusion_spatial_embedding: bool = False
    enable_temporal_pos_encoding_for_object_pointers: bool = False
    memory_attention_pooling: str = "none"
