"""Configs of the backbones that other families use in place of Hiera."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from .configuration_base import UNSET, FromBundled, Ints, fill


@strict
class RepVitConfig(FromBundled, PreTrainedConfig):
    """Describe a RepViT, with the fields of transformers' wrapper of timm.

    Args:
        architecture (`str`, defaults to `"repvit_m1"`): Name of the model in timm; `repvit_m1` is
            the only one that is known here.
        model_args (`dict`, *optional*): Arguments of timm's model. `embed_dim` and `depth` change
            the channels and the number of blocks of the stages.
        do_pooling (`bool`, defaults to `True`): Kept for the published files.
        num_classes (`int`, defaults to 1000): Classes of timm's weights; its wrapper needs
            them.
        initializer_range (`float`, defaults to 0.02): Deviation of freshly drawn weights.
    """

    base_config_key = "backbone_config"
    model_type = "timm_wrapper"

    architecture: str = "repvit_m1"
    model_args: dict[str, Any] | None = None
    do_pooling: bool = True
    num_classes: int = 1000
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the arguments with which timm returns the features of every stage."""
        if self.model_args is None:
            self.model_args = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
        super().__post_init__(**kwargs)

    @property
    def embed_dim_per_stage(self) -> list[int]:
        """Channels of each stage."""
        return list((self.model_args or {}).get("embed_dim", (48, 96, 192, 384)))

    @property
    def blocks_per_stage(self) -> list[int]:
        """Blocks of each stage, not counting the one that begins with halving the grid."""
        return list((self.model_args or {}).get("depth", (2, 2, 14, 2)))


@strict
class VitDetConfig(FromBundled, PreTrainedConfig):
    """Describe EfficientTAM's plain vision transformer; the defaults are the tiny model's.

    Args:
        hidden_size (`int`, defaults to 192): Channels.
        num_hidden_layers (`int`, defaults to 12): Blocks.
        num_attention_heads (`int`, defaults to 3): Heads.
        num_channels (`int`, defaults to 3): Color channels of a picture.
        image_size (`int`, defaults to 1024): Side of the square input, model pixels.
        patch_size (`int`, defaults to 16): Model pixels per cell.
        pretrain_image_size (`int`, defaults to 224): Side of the input for which the position table
            was learned.
        window_size (`int`, defaults to 14): Side of the attention windows, cells.
        global_attention_blocks (`list[int]`, defaults to `[2, 5, 8, 11]`): Blocks that attend to
            the whole grid.
        mlp_ratio (`float`, defaults to 4.0): Hidden width of a block's MLP over its channels.
        hidden_act (`str`, defaults to `"gelu"`): Activation of the MLPs.
        layer_norm_eps (`float`, defaults to 1e-6): Epsilon of the normalizations.
        initializer_range (`float`, defaults to 0.02): Deviation of freshly drawn weights.
    """

    base_config_key = "backbone_config"
    model_type = "efficienttam_vit_model"

    hidden_size: int = 192
    num_hidden_layers: int = 12
    num_attention_heads: int = 3
    num_channels: int = 3
    image_size: int | list[int] = 1024
    patch_size: int = 16
    pretrain_image_size: int = 224
    window_size: int = 14
    global_attention_blocks: Ints = UNSET
    mlp_ratio: float = 4.0
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    # the same in the terms of a trunk with stages, of which this is one with a single stage
    num_query_pool_stages, query_stride, patch_padding = 0, 2, 0
    patch_kernel_size = patch_stride = property(lambda config: config.patch_size)
    embed_dim_per_stage = property(lambda config: [config.hidden_size])
    blocks_per_stage = property(lambda config: [config.num_hidden_layers])
    num_attention_heads_per_stage = property(lambda config: [config.num_attention_heads])
    window_size_per_stage = property(lambda config: [config.window_size])

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the published models' blocks where they are not given."""
        fill(self, global_attention_blocks=[2, 5, 8, 11])
        super().__post_init__(**kwargs)
