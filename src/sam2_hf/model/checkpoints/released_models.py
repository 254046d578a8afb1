"""The eight released models: the settings that weights do not determine."""

from dataclasses import dataclass, replace

from sam2_hf.model.configs.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

from .checkpoint_errors import CheckpointError


@dataclass(frozen=True, slots=True)
class ReleasedModel:
    """One released model. Heads, windows and global blocks do not show in the weights.

    Attributes:
        name: As in the file name, e.g. `sam2.1_hiera_tiny`.
        blocks_per_stage: Depth of each stage of the trunk.
        embed_dim: Channels of the first stage; every later stage has twice as many.
        num_heads: Attention heads of the first stage, doubling per stage.
        window_sizes: Side of the attention windows of each stage, tokens.
        global_blocks: Blocks that attend to the whole grid.
        background_size: Side of the position table that is stretched over the grid.
        is_2_1: SAM 2.1 (True) or 2.0.

    Source: sam2/configs/ and sam2/modeling/backbones/hieradet.py:172-196 @ 2b90b9f.
    """

    name: str
    blocks_per_stage: tuple[int, int, int, int]
    embed_dim: int
    num_heads: int
    window_sizes: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    background_size: int
    is_2_1: bool = True

    @property
    def embed_dims(self) -> list[int]:
        """Channels of each stage."""
        return [self.embed_dim << stage for stage in range(len(self.blocks_per_stage))]

    @property
    def hub_id(self) -> str:
        """The Hub repo that Meta released it in, e.g. `facebook/sam2.1-hiera-tiny`."""
        return f"facebook/{self.name.replace('_', '-')}"


_WINDOWS = (8, 4, 14, 7)
_NEW = (
    ReleasedModel("sam2.1_hiera_tiny", (1, 2, 7, 2), 96, 1, _WINDOWS, (5, 7, 9), 7),
    ReleasedModel("sam2.1_hiera_small", (1, 2, 11, 2), 96, 1, _WINDOWS, (7, 10, 13), 7),
    ReleasedModel("sam2.1_hiera_base_plus", (2, 3, 16, 3), 112, 2, _WINDOWS, (12, 16, 20), 14),
    ReleasedModel("sam2.1_hiera_large", (2, 6, 36, 4), 144, 2, (8, 4, 16, 8), (23, 33, 43), 7),
)
_OLD = tuple(
    replace(model, name=model.name.replace("sam2.1", "sam2"), is_2_1=False) for model in _NEW
)

RELEASED: dict[str, ReleasedModel] = {model.name: model for model in (*_NEW, *_OLD)}


def released_config(name: str) -> Sam2VideoConfig:
    """Return the config of a released model.

    Args:
        name: One of `RELEASED`, e.g. `sam2.1_hiera_tiny`. The Hub's spelling is fine too:
            `facebook/sam2.1-hiera-tiny`.

    Raises:
        CheckpointError: If there is no released model of this name.
    """
    model = RELEASED.get(name.removeprefix("facebook/").replace("-", "_"))
    if model is None:
        raise CheckpointError(
            f"no released model is called {name!r}. Choose from: {', '.join(RELEASED)}."
        )
    return layout_config(model)


def layout_config(model: ReleasedModel) -> Sam2VideoConfig:
    """Return the config of one row of the table."""
    dims = model.embed_dims
    trunk = Sam2HieraDetConfig(
        hidden_size=model.embed_dim,
        num_attention_heads=model.num_heads,
        blocks_per_stage=list(model.blocks_per_stage),
        embed_dim_per_stage=dims,
        num_attention_heads_per_stage=[model.num_heads << stage for stage in range(len(dims))],
        window_size_per_stage=list(model.window_sizes),
        global_attention_blocks=list(model.global_blocks),
        window_positional_embedding_background_size=[model.background_size] * 2,
    )
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(backbone_config=trunk, backbone_channel_list=dims[::-1]),
        enable_occlusion_spatial_embedding=model.is_2_1,
        enable_temporal_pos_encoding_for_object_pointers=model.is_2_1,
    )
