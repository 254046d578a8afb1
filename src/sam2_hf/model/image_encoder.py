"""The image encoder: trunk and neck.

Suffixes: b = images, h, w = rows and columns, c = channels.
"""

from typing import Any, Unpack

from torch import Tensor, nn
from transformers.utils import can_return_tuple
from transformers.utils.generic import TransformersKwargs

from .configuration_sam2 import Sam2VisionConfig
from .fast_paths import is_bare
from .fpn_neck import FpnNeck, narrow_maps, neck_positions
from .hiera import Sam2HieraDetModel
from .outputs import Sam2VisionEncoderOutput
from .pretrained import Sam2PreTrainedModel


class Sam2VisionModel(Sam2PreTrainedModel):
    """The image encoder as a model of its own, `model_type` `sam2_vision_model`.

    Source: sam2/modeling/backbones/image_encoder.py:14-42 @ 2b90b9f.
    """

    config: Sam2VisionConfig

    def __init__(self, config: Sam2VisionConfig) -> None:
        super().__init__(config)
        self.backbone = Sam2HieraDetModel(config.backbone_config)
        self.neck = FpnNeck(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the trunk's patch embedding."""
        return self.backbone.get_input_embeddings()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> tuple[Any, ...] | Sam2VisionEncoderOutput:
        """Encode pictures.

        Args:
            pixel_values: Normalised pictures, `(b, 3, height, width)`, both sizes multiples of 32.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Raises:
            ValueError: If there is no picture.
        """
        features = self.encode(pixel_values, **kwargs)
        features.fpn_position_encoding = tuple(
            neck_positions(list(features.fpn_hidden_states or ()))
        )
        return features

    def encode(
        self, pixel_values: Tensor | None, narrow: tuple[nn.Module, ...] = (), **kwargs: Any
    ) -> Sam2VisionEncoderOutput:
        """Encode pictures without the position tables, which prompts on images never read.

        Args:
            pixel_values: As in `forward`.
            narrow: Convolutions of kernel 1 that the finest maps go through in the end.
            **kwargs: As in `forward`.
        """
        trunk = self.backbone(pixel_values, **kwargs)
        stages_bhwc = trunk.intermediate_hidden_states
        if narrow and is_bare(self.neck, FpnNeck):
            maps_bchw = self.neck.narrowed(stages_bhwc, narrow)
        else:
            maps_bchw = narrow_maps(self.neck(stages_bhwc), narrow)
        return Sam2VisionEncoderOutput(
            last_hidden_state=trunk.last_hidden_state,
            fpn_hidden_states=tuple(maps_bchw[: self.config.num_feature_levels]),
            hidden_states=trunk.hidden_states,
            attentions=trunk.attentions,
        )
