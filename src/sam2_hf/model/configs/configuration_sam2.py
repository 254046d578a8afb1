"""Configs of the image part: SAM 2's, and those of the other families of models.

The fields are those of the published files.
"""

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig

from .configuration_backbones import RepVitConfig, VitDetConfig
from .configuration_base import UNSET, FromBundled, IntOrInts, Ints, Sizes, fill
from .configuration_rules import ENCODERS

TOTAL_STRIDE = 32  # model pixels per token of the trunk's last stage
Config = TypeVar("Config", bound=PreTrainedConfig)

if TYPE_CHECKING:
    TrunkConfig: TypeAlias = "Sam2HieraDetConfig"
    VisionConfig: TypeAlias = "Sam2VisionConfig"
    PromptConfig: TypeAlias = "Sam2PromptEncoderConfig"
    DecoderConfig: TypeAlias = "Sam2MaskDecoderConfig"
else:
    TrunkConfig = VisionConfig = PromptConfig = DecoderConfig = (
        dict[str, Any] | PreTrainedConfig | None
    )


@strict
class Sam2HieraDetConfig(FromBundled, PreTrainedConfig):
    """Describe the Hiera trunk; the defaults are the tiny model's.

    Args:
        hidden_size (`int`, defaults to 96): Channels of the first stage.
        num_attention_heads (`int`, defaults to 1): Heads of the first stage.
        num_channels (`int`, defaults to 3): Color channels of a picture.
        image_size (`int | list[int]`, defaults to `[1024, 1024]`): Input size in model pixels.
        patch_kernel_size (`int | list[int]`, defaults to `[7, 7]`): Kernel of the patch embedding,
            model pixels.
        patch_stride (`int | list[int]`, defaults to `[4, 4]`): Stride of the patch embedding, model
            pixels.
        patch_padding (`int | list[int]`, defaults to `[3, 3]`): Padding of the patch embedding,
            model pixels.
        query_stride (`int | list[int]`, defaults to `[2, 2]`): Factor by which a pooling block
            shrinks the grid.
        window_positional_embedding_background_size (`list[int]`, defaults to `[7, 7]`): Size of the
            learned position table that is stretched over the whole grid.
        num_query_pool_stages (`int`, defaults to 3): How many stages after the first begin with
            pooling.
        blocks_per_stage (`list[int]`, defaults to `[1, 2, 7, 2]`): Depth of each stage.
        embed_dim_per_stage (`list[int]`, defaults to `[96, 192, 384, 768]`): Channels of each
            stage.
        num_attention_heads_per_stage (`list[int]`, defaults to `[1, 2, 4, 8]`): Heads of each
            stage.
        window_size_per_stage (`list[int]`, defaults to `[8, 4, 14, 7]`): Side of the attention
            windows, tokens.
        global_attention_blocks (`list[int]`, defaults to `[5, 7, 9]`): Blocks that attend to the
            whole grid.
        mlp_ratio (`float`, defaults to 4.0): Hidden width of a block's MLP over its channels.
        hidden_act (`str`, defaults to `"gelu"`): Activation of the MLPs.
        layer_norm_eps (`float`, defaults to 1e-6): Epsilon of the normalizations.
        initializer_range (`float`, defaults to 0.02): Deviation of freshly drawn weights.
    """

    base_config_key = "backbone_config"
    model_type = "sam2_hiera_det_model"

    hidden_size: int = 96
    num_attention_heads: int = 1
    num_channels: int = 3
    image_size: IntOrInts = UNSET
    patch_kernel_size: IntOrInts = UNSET
    patch_stride: IntOrInts = UNSET
    patch_padding: IntOrInts = UNSET
    query_stride: IntOrInts = UNSET
    window_positional_embedding_background_size: Ints = UNSET
    num_query_pool_stages: int = 3
    blocks_per_stage: Ints = UNSET
    embed_dim_per_stage: Ints = UNSET
    num_attention_heads_per_stage: Ints = UNSET
    window_size_per_stage: Ints = UNSET
    global_attention_blocks: Ints = UNSET
    mlp_ratio: float = 4.0
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the tiny model's layout where a list is not given."""
        fill(
            self,
            image_size=[1024, 1024],
            patch_kernel_size=[7, 7],
            patch_stride=[4, 4],
            patch_padding=[3, 3],
            query_stride=[2, 2],
            window_positional_embedding_background_size=[7, 7],
            blocks_per_stage=[1, 2, 7, 2],
            embed_dim_per_stage=[96, 192, 384, 768],
            num_attention_heads_per_stage=[1, 2, 4, 8],
            window_size_per_stage=[8, 4, 14, 7],
            global_attention_blocks=[5, 7, 9],
        )
        super().__post_init__(**kwargs)


# by `backbone_config.model_type`; image_encoder.py has the models
BACKBONE_CONFIGS: dict[str, type[Any]] = {
    kind.model_type: kind for kind in (Sam2HieraDetConfig, RepVitConfig, VitDetConfig)
}


def _backbone_config(fields: dict[str, Any], default: type[Any]) -> TrunkConfig:
    """Build the config of a backbone.

    Raises:
        ValueError: There is no backbone of that type.
    """
    kind = fields.get("model_type") or default.model_type
    if kind not in tuple(BACKBONE_CONFIGS):
        known = ", ".join(BACKBONE_CONFIGS)
        raise ValueError(f"backbone_config.model_type is {kind!r}; choose one of {known}")
    return BACKBONE_CONFIGS[kind](**fields)


@strict
class Sam2VisionConfig(FromBundled, PreTrainedConfig):
    """Describe the image encoder: a Hiera trunk and the pyramid neck above it.

    Args:
        backbone_config (`dict | Sam2HieraDetConfig`, *optional*): The trunk, selected by its
            `model_type`.
        backbone_channel_list (`list[int]`, defaults to `[768, 384, 192, 96]`): Trunk channels, last
            stage first.
        backbone_feature_sizes (`list`, defaults to `[[256, 256], [128, 128], [64, 64]]`): Rows and
            columns of the three feature maps, finest first.
        fpn_hidden_size (`int`, defaults to 256): Channels of every neck level.
        fpn_kernel_size (`int`, defaults to 1): Kernel of the neck's convolutions.
        fpn_stride (`int`, defaults to 1): Stride of the neck's convolutions.
        fpn_padding (`int`, defaults to 0): Padding of the neck's convolutions.
        fpn_top_down_levels (`list[int]`, defaults to `[2, 3]`): Levels that also receive the
            coarser level.
        num_feature_levels (`int`, defaults to 3): Number of levels returned, the finest ones.
        hidden_act (`str`, defaults to `"gelu"`): Kept for the published files.
        layer_norm_eps (`float`, defaults to 1e-6): Kept for the published files.
        initializer_range (`float`, defaults to 0.02): Deviation of freshly drawn weights.
    """

    base_config_key = "vision_config"
    model_type = "sam2_vision_model"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"backbone_config": Sam2HieraDetConfig}

    backbone_config: TrunkConfig = UNSET
    backbone_channel_list: Ints = UNSET
    backbone_feature_sizes: Sizes = UNSET
    fpn_hidden_size: int = 256
    fpn_kernel_size: int = 1
    fpn_stride: int = 1
    fpn_padding: int = 0
    fpn_top_down_levels: Ints = UNSET
    num_feature_levels: int = 3
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the tiny model's sizes where a list is not given."""
        fill(
            self,
            backbone_channel_list=[768, 384, 192, 96],
            backbone_feature_sizes=[[256, 256], [128, 128], [64, 64]],
            fpn_top_down_levels=[2, 3],
        )
        # Before the base class, which looks this key up in transformers' registry instead of
        # `sub_configs_defaults`.
        if not isinstance(self.backbone_config, PreTrainedConfig):
            default = type(self).sub_configs_defaults["backbone_config"].config_class
            self.backbone_config = _backbone_config(self.backbone_config or {}, default)
        super().__post_init__(**kwargs)


@strict
class EdgeTamVisionConfig(Sam2VisionConfig):
    """Describe EdgeTAM's image encoder, a RepViT and the neck of a [`Sam2VisionConfig`].

    Args:
        backbone_config (`dict | RepVitConfig`, *optional*): The backbone.
        backbone_channel_list (`list[int]`, defaults to `[384, 192, 96, 48]`): Channels of the
            backbone, last stage first.
    """

    model_type = "edgetam_vision_model"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"backbone_config": RepVitConfig}

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the published model's sizes where a list is not given."""
        fill(self, backbone_channel_list=[384, 192, 96, 48])
        super().__post_init__(**kwargs)


@strict
class EfficientTamVisionConfig(Sam2VisionConfig):
    """Describe EfficientTAM's image encoder, a vision transformer and a neck of one level.

    Args:
        backbone_config (`dict | VitDetConfig`, *optional*): The backbone.
        backbone_channel_list (`list[int]`, defaults to `[192]`): Channels of the backbone.
    """

    model_type = "efficienttam_vision_model"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"backbone_config": VitDetConfig}

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the tiny model's channels where they are not given."""
        fill(self, backbone_channel_list=[192])
        super().__post_init__(**kwargs)


@strict
class Sam2PromptEncoderConfig(FromBundled, PreTrainedConfig):
    """Describe the prompt encoder.

    Args:
        hidden_size (`int`, defaults to 256): Channels of a prompt token.
        image_size (`int`, defaults to 1024): Side of the square input, model pixels.
        patch_size (`int`, defaults to 16): Model pixels per cell of the image embedding.
        mask_input_channels (`int`, defaults to 16): Channels inside the mask prompt's convolutions.
        num_point_embeddings (`int`, defaults to 4): Negative, positive, and the two corners of a
            box.
        hidden_act (`str`, defaults to `"gelu"`): Activation inside the mask prompt's convolutions.
        layer_norm_eps (`float`, defaults to 1e-6): Epsilon of the normalizations.
        scale (`int`, defaults to 1): Deviation of freshly drawn Fourier frequencies.
    """

    base_config_key = "prompt_encoder_config"
    model_type = "sam2_prompt_encoder"

    hidden_size: int = 256
    image_size: int | list[int] | tuple[int, int] = 1024
    patch_size: int | list[int] | tuple[int, int] = 16
    mask_input_channels: int = 16
    num_point_embeddings: int = 4
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    scale: int = 1


@strict
class Sam2MaskDecoderConfig(FromBundled, PreTrainedConfig):
    """Describe the mask decoder.

    Args:
        hidden_size (`int`, defaults to 256): Channels of tokens and image embedding.
        hidden_act (`str`, defaults to `"gelu"`): Kept for the published files.
        mlp_dim (`int`, defaults to 2048): Hidden width of the two-way transformer's MLPs.
        num_hidden_layers (`int`, defaults to 2): Layers of the two-way transformer.
        num_attention_heads (`int`, defaults to 8): Heads of every attention.
        attention_downsample_rate (`int`, defaults to 2): Factor by which the cross attentions
            reduce the channels.
        num_multimask_outputs (`int`, defaults to 3): Masks offered for an ambiguous prompt.
        iou_head_depth (`int`, defaults to 3): Layers of the head that predicts a mask's IoU.
        iou_head_hidden_dim (`int`, defaults to 256): Hidden width of that head.
        dynamic_multimask_via_stability (`bool`, defaults to `True`): Whether an unstable single
            mask is replaced by the best of the three.
        dynamic_multimask_stability_delta (`float`, defaults to 0.05): Shift of the threshold that
            measures stability, logits.
        dynamic_multimask_stability_thresh (`float`, defaults to 0.98): Stability from which the
            single mask is kept.
    """

    base_config_key = "mask_decoder_config"
    model_type = "sam2_mask_decoder"

    hidden_size: int = 256
    hidden_act: str = "gelu"
    mlp_dim: int = 2048
    num_hidden_layers: int = 2
    num_attention_heads: int = 8
    attention_downsample_rate: int = 2
    num_multimask_outputs: int = 3
    iou_head_depth: int = 3
    iou_head_hidden_dim: int = 256
    dynamic_multimask_via_stability: bool = True
    dynamic_multimask_stability_delta: float = 0.05
    dynamic_multimask_stability_thresh: float = 0.98


PARTS: dict[str, type[Any]] = {
    "vision_config": Sam2VisionConfig,
    "prompt_encoder_config": Sam2PromptEncoderConfig,
    "mask_decoder_config": Sam2MaskDecoderConfig,
}


@strict
class Sam2Config(FromBundled, PreTrainedConfig):
    """Describe SAM 2 for images: image encoder, prompt encoder, mask decoder.

    A saved video config (`model_type` `sam2_video`, as the published checkpoints carry) is read
    too; its memory fields are kept and have no effect. So are the configs of other families, as
    their own classes, such as [`EdgeTamConfig`].

    Args:
        vision_config (`dict | Sam2VisionConfig`, *optional*): The image encoder.
        prompt_encoder_config (`dict | Sam2PromptEncoderConfig`, *optional*): The prompt encoder.
        mask_decoder_config (`dict | Sam2MaskDecoderConfig`, *optional*): The mask decoder.
        initializer_range (`float`, defaults to 0.02): Deviation of freshly drawn weights.

    Example:
        >>> config = Sam2Config.from_pretrained("sam2-hiera-micro")
        >>> untrained = Sam2Model(config)
    """

    model_type = "sam2"
    reads = tuple(ENCODERS)
    # not collected by transformers' `Trainer`: 16 MB of features per image
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "image_embeddings",
        "vision_hidden_states",
        "vision_attentions",
        "mask_decoder_attentions",
    ]
    sub_configs_defaults: ClassVar[dict[str, Any]] = PARTS

    vision_config: VisionConfig = UNSET
    prompt_encoder_config: PromptConfig = UNSET
    mask_decoder_config: DecoderConfig = UNSET
    initializer_range: float = 0.02


@strict
class EdgeTamConfig(Sam2Config):
    """Describe EdgeTAM for images: a [`Sam2Config`] with another image encoder.

    Args:
        vision_config (`dict | EdgeTamVisionConfig`, *optional*): The image encoder.

    Example:
        >>> EdgeTamConfig().vision_config.backbone_config.architecture
        'repvit_m1'
    """

    model_type = "edgetam"
    reads = ("edgetam", "edgetam_video")
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        **PARTS,
        "vision_config": EdgeTamVisionConfig,
    }


@strict
class EfficientTamConfig(Sam2Config):
    """Describe EfficientTAM for images: a [`Sam2Config`] with another image encoder.

    Args:
        vision_config (`dict | EfficientTamVisionConfig`, *optional*): The image encoder.

    Example:
        >>> EfficientTamConfig().vision_config.backbone_config.hidden_size
        192
    """

    model_type = "efficienttam"
    reads = ("efficienttam", "efficienttam_video")
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        **PARTS,
        "vision_config": EfficientTamVisionConfig,
    }


@strict
class Sam3TrackerPromptEncoderConfig(Sam2PromptEncoderConfig):
    """Describe the prompt encoder of SAM 3's tracker; a [`Sam2PromptEncoderConfig`].

    Args:
        image_size (`int`, defaults to 1008): Side of the square input, model pixels.
        patch_size (`int`, defaults to 14): Model pixels per cell of the image embedding.
    """

    model_type = "sam3_tracker_prompt_encoder"

    image_size: int | list[int] | tuple[int, int] = 1008
    patch_size: int | list[int] | tuple[int, int] = 14


@strict
class Sam3TrackerConfig(Sam2Config):
    """Describe SAM 3's tracker for images: a [`Sam2Config`] with SAM 3's image encoder.

    The config of a whole SAM 3 (`facebook/sam3`) is read too; its detector has no effect.

    Args:
        vision_config (`dict | transformers.Sam3VisionConfig`, *optional*): The image encoder.
        prompt_encoder_config (`dict | Sam3TrackerPromptEncoderConfig`, *optional*): The prompt
            encoder.

    Example:
        >>> Sam3TrackerConfig().prompt_encoder_config.image_size
        1008
    """

    model_type = "sam3_tracker"
    reads = ("sam3_tracker", "sam3_tracker_video")
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        **PARTS,
        "vision_config": Sam3VisionConfig,
        "prompt_encoder_config": Sam3TrackerPromptEncoderConfig,
    }


def with_image_size(config: Config, image_size: int) -> Config:
    """Return a copy of an image or video config for another square input size.

    Args:
        config: `Sam2Config` or `Sam2VideoConfig`; not modified.
        image_size: Side of the input in model pixels, a multiple of 32; of SAM 3's patches, 14.

    Raises:
        ValueError: If `image_size` is not a positive multiple of that.

    Example:
        >>> config = with_image_size(Sam2Config.from_pretrained("sam2-hiera-micro"), 512)
        >>> Sam2Model.from_pretrained("sam2-hiera-micro", config=config).image_size
        512
    """
    fields = config.to_dict()
    cell = fields["prompt_encoder_config"]["patch_size"]
    is_sam3 = fields["vision_config"]["model_type"] == Sam3VisionConfig.model_type
    if is_sam3 and (image_size <= 0 or image_size % cell):
        raise ValueError(
            f"image_size is {image_size}, but the picture is cut into patches of {cell} pixels: "
            f"give a positive multiple of {cell}, e.g. {36 * cell} or {72 * cell}."
        )
    if not is_sam3 and (image_size <= 0 or image_size % TOTAL_STRIDE):
        raise ValueError(
            f"image_size is {image_size}, but the trunk halves the picture five times: "
            f"give a positive multiple of {TOTAL_STRIDE}, e.g. 512 or 1024."
        )
    cells = image_size // (cell if is_sam3 else 16)
    fields["prompt_encoder_config"]["image_size"] = image_size
    trunk = fields["vision_config"]["backbone_config"]
    if "image_size" in trunk:
        trunk["image_size"] = image_size if is_sam3 else [image_size, image_size]
    fields["vision_config"]["backbone_feature_sizes"] = [[times * cells] * 2 for times in (4, 2, 1)]
    # video configs repeat it at the top, with the grid of memory attention
    if "image_size" in fields:
        fields["image_size"] = image_size
        fields["memory_attention_rope_feat_sizes"] = [cells] * 2
    return type(config).from_dict(fields)
