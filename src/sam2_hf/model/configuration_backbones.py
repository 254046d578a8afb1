"""Configs of the backbones that other families use in place of Hiera."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from .configuration_base import FromBundled


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
