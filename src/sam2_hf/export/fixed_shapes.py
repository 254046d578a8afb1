"""Graphs of fixed shapes: one object, with room for some points, memories and pointers.

Mobile runtimes and TensorRT plan ahead for one set of shapes. What is missing is filled up: points
by padding labels, memories and pointers by zeros that a bias hides from attention.

Suffixes: b = objects, t = clicks and corners of boxes, s = spatial memories, p = pointers, h, w =
rows and columns.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import ExportError
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.prompt_encoder import PADDING

FIXED = "sam2_hf.fixed"  # key of the shapes; empty where they vary
MOST_POINTS = 16
MOST_PROMPTED = 4  # prompted frames that a frame attends to, where the config sets no limit
MISSING = -1e4  # bias; finite, and within float16. Its exponential is 0
# what each input has room for, and the value that fills it up
ROOM = {
    **{"points": ("points", 0), "labels": ("points", PADDING)},
    **{"spatial": ("memories", 0), "ages": ("memories", 1), "memory_bias": ("memories", MISSING)},
    **{"pointers": ("pointers", 0), "times": ("pointers", 0)},
    "pointer_bias": ("pointers", MISSING),
}
OF_FRAME = frozenset({"pixel_values", "fine", "coarse", "embedding", "binarize"})

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class FixedShapes:
    """How much one object may have.

    Attributes:
        points: Clicks and corners of boxes on a frame.
        memories: Spatial memories that a frame attends to.
        pointers: Object pointers that a frame attends to.
    """

    points: int
    memories: int
    pointers: int

    @classmethod
    def of(cls, config: Sam2VideoConfig) -> Self:
        """Find the shapes for a config with a limit of prompted frames; see `limited`."""
        prompted = config.max_cond_frame_num
        return cls(
            MOST_POINTS,
            prompted + config.num_maskmem - 1,
            prompted + config.max_object_pointers_in_encoder - 1,
        )

    @classmethod
    def read(cls, about: Mapping[str, str]) -> Self | None:
        """Read what a graph says; None if its shapes vary."""
        text = about.get(FIXED)
        return cls(**json.loads(text)) if text else None

    def to_json(self) -> str:
        """Write what `read` reads."""
        return json.dumps(asdict(self))

    def calls(self, name: str, inputs: Inputs, side: int) -> Iterator[Inputs]:
        """Turn a call for any number of objects into calls for one each.

        Args:
            name: The graph.
            inputs: By the names of the graph whose shapes vary.
            side: Of the model's input; masks to be remembered are enlarged to it.

        Raises:
            ExportError: There are more points or memories than fit.
        """
        whole = self._filled(name, inputs, side)
        own = [len(values) for key, values in whole.items() if key not in OF_FRAME]
        for number in range(max(own, default=1)):
            yield {
                key: values if key in OF_FRAME else values[number : number + 1]
                for key, values in whole.items()
            }

    def _filled(self, name: str, inputs: Inputs, side: int) -> Inputs:
        """Fill the inputs of a graph up."""
        if name == "memory_encoder" and inputs["logits"].shape[-1] != side:
            logits = functional.interpolate(inputs["logits"], (side, side), mode="bilinear")
            return {**inputs, "logits": logits}
        if name == "memory_attention":
            memory_bias, pointer_bias = (
                torch.zeros(inputs[key].shape) for key in ("ages", "times")
            )
            inputs = {**inputs, "memory_bias": memory_bias, "pointer_bias": pointer_bias}
        elif name != "mask_decoder":
            return inputs
        return {key: self._padded(key, values) for key, values in inputs.items()}

    def _padded(self, key: str, values: Tensor) -> Tensor:
        """Fill the second dimension of an input up.

        Raises:
            ExportError: There is more.
        """
        if key not in ROOM:
            return values
        kind, value = ROOM[key]
        most = getattr(self, kind)
        missing = most - values.shape[1]
        if missing < 0:
            raise ExportError(
                f"an export of fixed shapes takes at most {most} {kind}, there are "
                f"{values.shape[1]}. Give fewer prompts or references, or export the model "
                "without --fixed."
            )
        rest = values.new_full((len(values), missing, *values.shape[2:]), value)
        return torch.cat((values, rest), dim=1)


def limited(config: Sam2VideoConfig) -> Sam2VideoConfig:
    """Return a config that attends to no more prompted frames than graphs of fixed shapes can."""
    if config.max_cond_frame_num != -1:
        return config
    fields = config.to_dict() | {"max_cond_frame_num": MOST_PROMPTED}
    return Sam2VideoConfig.from_dict(fields)
