"""Linear layers in 8 bits, for inference on a CPU. Approximate.

Weights are rounded once, with one scale for each output channel; tokens are rounded in every call,
with one scale and zero for each entry of a batch that has many of them, else for all. oneDNN
multiplies the integers exactly. This is three to four times as fast as float32 where the CPU has
instructions for it (VNNI).

The operator is private to torch, so it is tried once before use.
"""

import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError

from .fast_paths import is_traced, known_module

MOST = 127  # of a weight
# Without VNNI two products are summed in 16 bits, which 8-bit tokens would overflow.
LEVELS, LEVELS_WITHOUT_VNNI = 255, 127
TRIAL_TOLERANCE = 1e-3  # its numbers are integers
PLAIN = ("none", "")  # no activation
ROWS_ROUNDED_ALONE = 512  # of an entry of a batch, to be rounded on its own: windows have fewer
SMALLEST = torch.finfo(torch.float32).tiny  # scale; its inverse is finite
Save = TypeVar("Save", bound=Callable[..., Any])


@known_module
class Int8Linear(nn.Module):
    """A linear layer with int8 weights.

    Attributes:
        weight: Rounded, `(c out, c in)`, int8.
        scale: Of each output channel, float32.
        bias: Of the layer, or None.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = (weight.abs().amax(dim=1) / MOST).clamp(min=SMALLEST)
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float())
        # the weight in the CPU's layout, which cannot be copied, and the weight that it is of
        self._packed: tuple[Tensor, tuple[int, int]] | None = None
        self.eval()

    def forward(self, tokens: Tensor, kind: tuple[str, str] = PLAIN) -> Tensor:
        """Multiply, add the bias and activate.

        Args:
            tokens: `(..., c in)`, float32, on the CPU.
            kind: Fused activation, as of `cpu_kernels.product`.

        Returns:
            `(..., c out)`.

        Raises:
            CheckpointError: The tokens are on another device or in another dtype, need gradients,
                or are traced.
        """
        self._require_inference(tokens)
        if tokens.numel() == 0:
            return tokens.new_zeros((*tokens.shape[:-1], len(self.scale)))
        if len(tokens) == 1 or tokens[0].numel() < ROWS_ROUNDED_ALONE * tokens.shape[-1]:
            return self._mapped(tokens, kind)
        return torch.cat([self._mapped(entry, kind) for entry in tokens.split(1)])

    def _mapped(self, tokens: Tensor, kind: tuple[str, str]) -> Tensor:
        """Map tokens with one scale for all."""
        lowest, highest = (bound.item() for bound in torch.aminmax(tokens))
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
        levels = _levels()
        step = max((highest - lowest) / levels, SMALLEST)
        if not math.isfinite(step):  # as a sum of such tokens would be
            return tokens.new_full((*tokens.shape[:-1], len(self.scale)), math.nan)
        # rounded down, so that no sum exceeds `levels`; the cast truncates
        zero = math.floor(-lowest / step)
        offset = torch.full((), zero + 0.5, dtype=torch.float32, device="cpu")
        rounded = torch.add(offset, tokens, alpha=1 / step).to(torch.uint8)
        name, variant = kind
        mapped: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(rounded, step, zero),
            self._packed_weight(),
            self.scale.float(),
            torch.zeros_like(self.scale, dtype=torch.int64),
            None if self.bias is None else self.bias.float(),
            *(1.0, 0, torch.float32),  # the result is not rounded
            *(name, [], variant),
        )
        return mapped

    def extra_repr(self) -> str:
        """Return the sizes, as `nn.Linear` does."""
        return f"in_features={self.weight.shape[1]}, out_features={self.weight.shape[0]}"

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | {"_packed": None}

    def _packed_weight(self) -> Tensor:
        """Return the weight in the CPU's layout, packed again after a write."""
        version = 0 if self.weight.is_inference() else self.weight._version
        key = (self.weight.data_ptr(), version)
        packed = self._packed  # read once: threads share a model
        if packed is None or packed[1] != key:
            packed = (torch.ops.onednn.qlinear_prepack(self.weight, None), key)
            self._packed = packed
        return packed[0]

    def _require_inference(self, tokens: Tensor) -> None:
        what = None
        if tokens.dtype != torch.float32:
            what = f"compute in {tokens.dtype}"
        elif is_traced():
            what = "be exported or compiled"
        elif not tokens.is_cpu:
            what = f"run on {tokens.device}"
        elif self.training or (tokens.requires_grad and torch.is_grad_enabled()):
            what = "be trained"
        if what is not None:
            raise CheckpointError(f"int8 weights cannot {what}. Load the model in float32 for it.")


def is_int8(model: nn.Module) -> bool:
    """Whether a model has 8-bit layers."""
    return any(isinstance(part, Int8Linear) for part in model.modules())


def require_float_weights(model: nn.Module) -> None:
    """Refuse a model with 8-bit layers.

    Raises:
        CheckpointError: It has some.
    """
    if is_int8(model):
        raise CheckpointError(
            "the model's weights were rounded to 8 bits and cannot be saved or exported. Load it "
            "in float32 for it; rounding it again takes a moment."
        )


def saves_floats(save: Save) -> Save:
    """Wrap `save_pretrained` of transformers to refuse a model with 8-bit layers."""

    @wraps(save)
    def save_pretrained(self: nn.Module, *args: Any, **kwargs: Any) -> object:
        require_float_weights(self)
        return save(self, *args, **kwargs)

    return cast(Save, save_pretrained)


def require_int8_product() -> None:
    """Try the operator once on a small product.

    Raises:
        CheckpointError: This torch or CPU does not have it, or its sums are wrong.
    """
    if (problem := _int8_problem()) is not None:
        raise CheckpointError(
            f"int8 weights cannot be used with this torch and CPU: {problem}. Use float32 or "
            "bfloat16."
        )


@lru_cache(maxsize=1)
def _int8_problem() -> str | None:
    """Return what is wrong with the operator; None if nothing."""
    place: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}  # whatever the defaults are
    with torch.inference_mode():
        layer = skip_init(nn.Linear, 64, 8, **place)
        # the largest products, of which pairs overflow 16 bits if summed there
        layer.weight.fill_(MOST)
        layer.weight[::2].neg_()
        layer.bias.zero_()
        tokens = torch.full((16, 64), float(_levels()), **place)
        try:
            found = Int8Linear(layer)(tokens)
        except (AttributeError, RuntimeError, NotImplementedError) as error:
            return str(error).partition("\n")[0]
        wanted = layer(tokens)
    off = ((found - wanted).abs().max() / wanted.abs().max()).item()
    return None if off <= TRIAL_TOLERANCE else f"sums are off by {off:.1%}"


@lru_cache(maxsize=1)
def _levels() -> int:
    return LEVELS if torch.cpu._is_vnni_supported() else LEVELS_WITHOUT_VNNI
