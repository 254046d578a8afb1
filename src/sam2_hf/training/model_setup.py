"""Initial model of a run: loaded or randomly initialized."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from sam2_hf.data.clip import collate
from sam2_hf.errors import TrainingError
from sam2_hf.model.attention import PromptAttention
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.two_way_transformer import TwoWayBlock
from sam2_hf.training.synthetic.regions import region_clip

from .config import TrainConfig
from .lora import add_adapters
from .optimizer import freeze, trunk_blocks

# Below 0 an object has no mask, so that nothing would be learned about it.
FIRST_OBJECT_SCORE = 3.0
# With 4 a decoder learns clicks in 100 steps, with torch's default initialization in 250.
FIRST_SHARPNESS = 4.0
FIRST_KIND = 0.2  # deviation of the embeddings of token types; a position encoding has 0.7
FIRST_COMMON = 0.05  # scale of the embedding added to every cell without a mask prompt
SHOWN, SHOWN_SIDE = 16, 128  # pictures for scaling initial weights, their side in pixels


def make_model(config: TrainConfig) -> Sam2VideoModel:
    """Load or initialize the model, in train mode, with frozen parameters.

    Args:
        config: The run.

    Raises:
        TrainingError: The input size is impossible, the image encoder has no stochastic depth, or
            a pattern of `frozen` matches nothing.
        CheckpointError: There is no such model.
    """
    model = _drawn(config) if config.from_scratch else _loaded(config)
    model = model.float()  # weights are trained in float32
    if config.lora is not None:
        add_adapters(model, config.lora, config.seed)
    freeze(model, config.frozen)
    try:
        model.set_drop_path(config.drop_path)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if config.compile:
        for block in trunk_blocks(model):
            block.compile()
    return model.train()


def _drawn(config: TrainConfig) -> Sam2VideoModel:
    """Initialize weights so that training starts quickly.

    Source: sam2/modeling @ 2b90b9f, which leaves all but tables to torch.
    Differs: in attention between prompts and image, keys start equal to queries, and every token
        starts with the click; upscaling starts as nearest-neighbor; the neck starts without the
        part common to all pixels.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = Sam2VideoModel(_resized(Sam2VideoConfig.from_pretrained(config.model), config))
        for module in model.modules():
            # scaled by fan-in: one deviation for all layers, as in `initializer_range`, shrinks
            # signals in narrow layers
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    decoder = model.mask_decoder
    nn.init.constant_(decoder.pred_obj_score_head.proj_out.bias, FIRST_OBJECT_SCORE)
    for conv in (decoder.upscale_conv1, decoder.upscale_conv2):
        _init_upscaling(conv)
    for name, module in decoder.named_modules():
        if isinstance(module, PromptAttention) and not name.endswith("self_attn"):
            _attend_to_own_position(module)
    _pass_clicks_to_tokens(model, torch.Generator().manual_seed(config.seed))
    _balance_neck(model)
    return model


@torch.no_grad()
def _attend_to_own_position(attention: PromptAttention) -> None:
    """Initialize attention to the same position, so that a click matters from the start."""
    attention.q_proj.weight.mul_(FIRST_SHARPNESS)
    attention.k_proj.weight.copy_(attention.q_proj.weight)


@torch.no_grad()
def _pass_clicks_to_tokens(model: Sam2VideoModel, generator: torch.Generator) -> None:
    """Initialize the decoder so that every token sees the click's position and its features.

    The first self-attention passes token values, dominated by the click's position, so all tokens
    attend there and take up a projection of the embedding. Image-to-token attention starts at zero,
    since an untrained decoder would only corrupt the image features.
    """
    decoder, prompts = model.mask_decoder, model.prompt_encoder
    for table in (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens):
        table.weight.mul_(FIRST_KIND)
    for table in (prompts.point_embed, prompts.not_a_point_embed):
        table.weight.mul_(FIRST_KIND)
    first = cast(TwoWayBlock, decoder.transformer.layers[0]).self_attn
    for layer in (first.v_proj, first.o_proj):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    for name, module in decoder.named_modules():
        if not isinstance(module, PromptAttention):
            continue
        if name.endswith("image_to_token"):
            nn.init.zeros_(module.o_proj.weight)
            nn.init.zeros_(module.o_proj.bias)
        elif name.endswith("token_to_image"):
            nn.init.orthogonal_(module.v_proj.weight, generator=generator)
            module.o_proj.weight.copy_(module.v_proj.weight.T)


@torch.no_grad()
def _balance_neck(model: Sam2VideoModel) -> None:
    """Center and scale the neck's output to the size of position encodings.

    The output of an untrained trunk is mostly common to all pixels; layer norms keep that part, and
    content vanishes beside it.

    Source: Kraehenbuehl et al., arXiv:1511.06856, section 3, for the neck only.
    """
    model.prompt_encoder.no_mask_embed.weight.mul_(FIRST_COMMON)
    rng = np.random.default_rng(0)
    shown = collate([region_clip(rng, SHOWN_SIDE) for _ in range(SHOWN)], [0] * SHOWN, "regions")
    encoder = model.vision_encoder
    stages = encoder.backbone(shown.clips_bt3hw[:, 0]).intermediate_hidden_states
    for conv, stage_bhwc in zip(encoder.neck.convs, reversed(stages), strict=True):
        if not isinstance(conv, nn.Conv2d) or conv.bias is None:
            continue
        map_bchw = conv(stage_bhwc.permute(0, 3, 1, 2))
        common_c = map_bchw.mean(dim=(0, 2, 3))
        content = (map_bchw - common_c[:, None, None]).std()
        conv.weight.div_(content)
        conv.bias.sub_(common_c).div_(content)


@torch.no_grad()
def _init_upscaling(conv: nn.ConvTranspose2d) -> None:
    """Initialize upscaling as nearest-neighbor, so that one filter fits all output cells.

    With independent weights, 16 subpixel positions of a mask encode the same content in 16 ways,
    and a filter has to learn each.

    Source: Aitken et al., arXiv:1707.02937, section 3, there against checkerboard artifacts.
    """
    conv.weight.copy_(conv.weight[..., :1, :1].expand_as(conv.weight).clone())


def _loaded(config: TrainConfig) -> Sam2VideoModel:
    """Load weights; their shapes do not depend on the input size."""
    model = Sam2VideoModel.from_pretrained(config.model)
    if config.image_size in (None, model.image_size) and not config.architecture:
        return model
    with torch.device("meta"):
        resized = Sam2VideoModel(_resized(model.config, config))
    try:
        resized.load_state_dict(model.state_dict(), assign=True)
    except RuntimeError as error:
        raise TrainingError(
            f"the weights of {config.model} do not fit the architecture "
            f"{dict(config.architecture)}: {error}"
        ) from error
    return resized


def _resized(sizes: Sam2VideoConfig, config: TrainConfig) -> Sam2VideoConfig:
    if config.architecture:
        sizes = _with_architecture(sizes, config.architecture)
    if config.image_size is None:
        return sizes
    try:
        return with_image_size(sizes, config.image_size)
    except ValueError as error:
        raise TrainingError(str(error)) from error


def _with_architecture(sizes: Sam2VideoConfig, changes: Mapping[str, object]) -> Sam2VideoConfig:
    """Override settings of the model's config, named as in its file."""
    content = sizes.to_dict()
    for path, value in changes.items():
        part: Any = content
        *above, name = path.split(".")
        for key in above:
            part = part.get(key) if isinstance(part, dict) else None
        if not isinstance(part, dict) or name not in part:
            raise TrainingError(
                f"architecture has {path}, which is not in the model's config. Name a setting of "
                "its config.json with dots, such as vision_config.backbone_config.mlp_ratio."
            )
        part[name] = list(value) if isinstance(value, tuple) else value  # as in JSON
    return Sam2VideoConfig.from_dict(content)
