"""Base of every model: loading, weight initialization, supported backends."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import LoadStateDictConfig, PreTrainedModel

from sam2_hf.hub_code import saves_code, uploads_code
from sam2_hf.model.checkpoints.checkpoint_errors import paused_collection
from sam2_hf.model.checkpoints.fitting_weights import (
    assign_weights,
    fitting_weights,
    load_request,
    opened_weights,
    require_floats,
    require_loaded,
)
from sam2_hf.model.checkpoints.original_checkpoint import load_pretrained
from sam2_hf.model.configs.configuration_checks import require_buildable
from sam2_hf.model.configs.configuration_sam2 import Sam2Config
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.kernels.fast_paths import is_fast, set_fast
from sam2_hf.model.kernels.int8_linear import saves_floats

from .memory_encoder import FuserBlock
from .position_encoding import FourierPositions

ZEROS = ("pos_embed", "pos_embed_window", "no_memory_embedding")
MEMORY_CODES = (
    "memory_temporal_positional_encoding",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "occlusion_spatial_embedding_parameter",
)
LATENTS = ("latents_1d", "latents_2d")
# by name of the parameter: how it is drawn, given the config's deviation
FIRST_VALUES: Mapping[str, Callable[[Tensor, float], object]] = {
    **dict.fromkeys(ZEROS, lambda parameter, _: init.zeros_(parameter)),
    **dict.fromkeys(MEMORY_CODES, lambda parameter, std: init.trunc_normal_(parameter, std=std)),
    **dict.fromkeys(LATENTS, lambda parameter, _: init.normal_(parameter)),
}


class Sam2PreTrainedModel(PreTrainedModel):
    """Base of the models; adds reading original `.pt` checkpoints to `from_pretrained`."""

    config: Sam2Config
    base_model_prefix = "sam2"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    save_pretrained = saves_code(saves_floats(PreTrainedModel.save_pretrained))
    _upload_modified_files = uploads_code(PreTrainedModel._upload_modified_files)

    def __init__(self, config: PreTrainedConfig, *args: Any, **kwargs: Any) -> None:
        require_buildable(config)
        super().__init__(config, *args, **kwargs)

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        # transformers guesses it from the source of the model's file; ours is in attention.py
        return True

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        **kwargs: Any,
    ) -> Self:
        """Load a model from the Hub, a folder or an original checkpoint.

        Args:
            pretrained_model_name_or_path: Hub id such as `facebook/sam2.1-hiera-tiny`, a folder in
                transformers' format, a folder or Hub repo that holds only the original `.pt`, or a
                path to one; or `sam2-hiera-micro`, a small bundled model.
            *model_args: Passed to the model's constructor.
            **kwargs: As in `transformers.PreTrainedModel.from_pretrained`: `config`, `dtype`,
                `device_map`, `revision`, `cache_dir`, `token`, `attn_implementation`, ...

        Raises:
            CheckpointError: If there are no weights, they are not those of a SAM 2, incomplete or
                not finite, or the config describes no model. With `output_loading_info=True`
                weights may be missing and are initialized at random: the caller checks the report.

        Example:
            >>> Sam2Model.from_pretrained("sam2-hiera-micro").eval().dtype
            torch.float32
        """
        load = super().from_pretrained
        return load_pretrained(load, pretrained_model_name_or_path, *model_args, **kwargs)

    @classmethod
    def get_init_context(cls, *args: Any, **kwargs: Any) -> list[Any]:
        """List the contexts in which transformers builds a model, after downloads."""
        return [paused_collection(), *super().get_init_context(*args, **kwargs)]

    @staticmethod
    def _load_pretrained_model(
        model: PreTrainedModel,
        state_dict: dict[str, Any] | None,
        checkpoint_files: list[str] | None,
        load_config: LoadStateDictConfig,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Load weights into a model on the meta device, if they fit it.

        Every weight passes here, whatever its source. Names of quantized weights and those that the
        caller renames are left to transformers, and so are adapters.
        """
        load = PreTrainedModel._load_pretrained_model
        if kwargs.get("expected_keys") is not None:  # `load_adapter` lists its own weights
            found: tuple[Any, ...] = load(
                model, state_dict, checkpoint_files, load_config, *args, **kwargs
            )
            return found
        request = load_request.get()
        report = None
        with paused_collection(), ExitStack() as stack:
            if load_config.hf_quantizer is None:
                if state_dict is None and checkpoint_files is not None:
                    state_dict = stack.enter_context(opened_weights(checkpoint_files))
                if state_dict is not None and not request.renamed:
                    state_dict = fitting_weights(model, state_dict, request.source)
                    require_floats(model, state_dict, request.source)
                    report = assign_weights(model, state_dict, load_config)
            found = (report, None)  # no weight is left on disk
            if report is None:
                found = load(model, state_dict, checkpoint_files, load_config, *args, **kwargs)
        shapes = not load_config.ignore_mismatched_sizes
        require_loaded(model, found[0], request, shapes=shapes)
        return found

    @property
    def fast(self) -> bool:
        """Whether fast paths are allowed; `model.fast = False` forbids them.

        They are taken in `eval()` when nothing requires a gradient, and equal the plain modules up
        to the order of summation.
        """
        return is_fast(self)

    @fast.setter
    def fast(self, fast: bool) -> None:
        """Allow or forbid fast paths in every part of the model."""
        set_fast(self, fast=fast)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialize weights; transformers calls it for modules missing in a checkpoint."""
        super()._init_weights(module)
        if isinstance(module, FourierPositions):
            init.normal_(module.positional_embedding, std=module.scale)
        if (of_image := module._modules.get("shared_image_embedding")) is not None:
            # one encoding for all positions, so that a click matches its own cell
            of_prompts = module.get_submodule("prompt_encoder.shared_embedding")
            init.copy_(of_prompts.positional_embedding, of_image.positional_embedding)
        for name, draw in FIRST_VALUES.items():
            if isinstance(parameter := module._parameters.get(name), nn.Parameter):
                draw(parameter, self.config.initializer_range)
        if isinstance(module, FuserBlock):
            init.constant_(module.scale, module.first_scale)


class Sam2VideoPreTrainedModel(Sam2PreTrainedModel):
    """Base of video models, under transformers' name."""

    config: Sam2VideoConfig
    base_model_prefix = "sam2_video"
    input_modalities = ("video",)
