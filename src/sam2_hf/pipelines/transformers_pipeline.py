"""transformers' own mask generation, taking a `batch_size` with the models of this package."""

from inspect import signature
from typing import Any

from transformers import MaskGenerationPipeline

from sam2_hf.model.modeling_sam2 import Sam2Model


class BatchedMaskGenerationPipeline(MaskGenerationPipeline):  # type: ignore[misc]
    """What `transformers.pipeline("mask-generation")` makes after `sam2_hf.register()`.

    Differs from transformers: there a batch of clicks of several photos is answered for its first
    photo alone, where it does not fail. With a model of this package each photo goes by itself; its
    clicks are decoded together as before (`points_per_batch`), so the masks are the same.
    """

    def get_iterator(self, inputs: object, *settings: Any, **named: Any) -> object:
        """Go through photos, one at a time with a model of this package."""
        bound = signature(super().get_iterator).bind(inputs, *settings, **named)
        if isinstance(self.model, Sam2Model):
            bound.arguments["batch_size"] = 1
        return super().get_iterator(*bound.args, **bound.kwargs)
