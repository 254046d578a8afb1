"""The parts of a model as modules whose inputs and outputs are tensors alone, one graph each.

A tracker on these graphs needs no other number of the model. All of them take and return float32,
whatever the weights are stored in; sizes follow from the model's input, and what may vary from call
to call is listed in `Graph.dynamic`.

Suffixes: b = objects, m = candidate masks (the single one, then the three), s = spatial memories, p
= pointers, t = clicks and corners of boxes, q, k = queries and keys, a = heads, x = dimensions of a
spatial memory, c = channels, d = decoder channels (256), h, w = rows and columns (of the image
embedding; 3ss = of the input).
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sam2_hf.model.memory_attention import RotaryAttention
from sam2_hf.model.memory_tokens import StaticMemoryInputs
from sam2_hf.model.modeling_sam2_video import GIVEN_SCALE, GIVEN_SHIFT, Sam2VideoModel
from sam2_hf.model.outputs import FrameFeatures, PromptEmbeddings
from sam2_hf.model.two_way_transformer import NO_BIAS

from .fixed_shapes import FixedShapes

ATTENTION = "sam2_hf_export"  # name of `attend_in_chunks` among the attention backends
LARGEST_PRODUCT = 1024 * 4096  # queries times cells of a grid that are attended to at once
CERTAIN = 100.0  # a logit whose sigmoid is 1 in float32

Dynamic = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """One graph: a module, and what it is called with.

    Attributes:
        name: Name of the file without its suffix.
        module: What becomes a graph.
        inputs: Example of each input, by name, in the order of the module's arguments.
        outputs: Names of the outputs.
        dynamic: Name of each dimension that may vary: input -> dimension -> name.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: Dynamic


class ImageEncoderGraph(nn.Module):
    """Encode a picture: `Sam2VideoModel.encode_image`."""

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Encode a normalized picture, `(1, 3, S, S)`; see [`FrameFeatures`]."""
        features = self.model.encode_image(pixel_values.to(self.model.dtype))
        maps = (features.fine_bchw, features.coarse_bchw, features.embedding_bchw)
        return tuple(level.float().contiguous() for level in maps)


class NoMemoryGraph(nn.Module):
    """Mark an image embedding as one without memory."""

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.no_memory_embedding = model.no_memory_embedding

    def forward(self, embedding_1dhw: Tensor) -> Tensor:
        """Mark `(1, d, h, w)`."""
        return embedding_1dhw + self.no_memory_embedding.transpose(1, 2)[..., None].float()


class MemoryAttentionGraph(nn.Module):
    """Fuse what objects remember into a frame: `Sam2VideoModel.condition_on_memory`."""

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        embedding_1dhw: Tensor,
        spatial_bsx: Tensor,
        ages_bs: Tensor,
        pointers_bpd: Tensor,
        times_bp: Tensor,
        memory_bias_bs: Tensor | None = None,
        pointer_bias_bp: Tensor | None = None,
    ) -> Tensor:
        """Condition `(1, d, h, w)` on memories; see [`StaticMemoryInputs`], in the model's layout.

        A graph of fixed shapes has biases, others have none.
        """
        dtype = self.model.dtype
        embedding = embedding_1dhw.to(dtype)
        spatial_bsnc = spatial_bsx.to(dtype)
        if self.model.spatial_perceiver is None:  # maps
            spatial_bsnc = spatial_bsnc.flatten(3).transpose(2, 3)
        memories = StaticMemoryInputs(
            spatial_bsnc,
            ages_bs,
            pointers_bpd.to(dtype),
            times_bp,
            None if memory_bias_bs is None else memory_bias_bs.to(dtype),
            None if pointer_bias_bp is None else pointer_bias_bp.to(dtype),
        )
        features = FrameFeatures(embedding, embedding, embedding)
        return self.model.condition_on_memory(features, memories).float().contiguous()


class MaskDecoderGraph(nn.Module):
    """Encode prompts and decode masks; the caller chooses among them.

    The tokens are those that object pointers are made of.
    """

    positions_11nc: Tensor

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.model = model
        places = model.get_image_wide_positional_embeddings()
        positions = places.flatten(2).transpose(1, 2)[:, None]
        self.register_buffer("positions_11nc", positions.contiguous(), persistent=False)

    def forward(
        self,
        fine_1chw: Tensor,
        coarse_1chw: Tensor,
        embedding_bdhw: Tensor,
        points_bt2: Tensor,
        labels_bt: Tensor,
        mask_b1hw: Tensor,
        has_mask_b: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode all candidates of every object.

        Args:
            fine_1chw: From the image encoder.
            coarse_1chw: From the image encoder.
            embedding_bdhw: Conditioned on memory, or marked as without.
            points_bt2: Clicks and corners of boxes, (x, y) in model pixels; at least one.
            labels_bt: As of `PromptEncoder.forward`, int64; -1 for nothing.
            mask_b1hw: Earlier logits, `(b, 1, 4h, 4w)`; anything where there are none.
            has_mask_b: Whether there are, bool.

        Returns:
            Logits `(b, m, 4h, 4w)`, predicted IoU `(b, m)`, tokens `(b, m, d)` and object score
            `(b, 1)`.
        """
        encoder, decoder = self.model.prompt_encoder, self.model.mask_decoder
        embedding = embedding_bdhw.to(self.model.dtype)
        points, labels = points_bt2[:, None], labels_bt[:, None]
        sparse_bptc, masked_bdhw = encoder(points, labels, None, mask_b1hw)
        no_mask_1d11 = encoder.no_mask_embed.weight[..., None, None]
        dense_bdhw = masked_bdhw.where(has_mask_b[:, None, None, None], no_mask_1d11)
        prompts = PromptEmbeddings.of(sparse_bptc, dense_bdhw)
        tokens = decoder.decode_tokens(embedding, self.positions_11nc, prompts, NO_BIAS)
        maps = [fine_1chw.to(embedding.dtype), coarse_1chw.to(embedding.dtype), embedding]
        logits_bpmhw = decoder.draw(tokens.image_bpnc, tokens.mask_tokens_bpmc, maps)
        found = (logits_bpmhw, tokens.iou_bpm, tokens.mask_tokens_bpmc, tokens.score_bp1)
        logits, iou, mask_tokens, score = (values[:, 0].float() for values in found)
        return logits, iou, mask_tokens, score


class ObjectPointerGraph(nn.Module):
    """Make object pointers of the chosen masks' tokens."""

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.projection = model.object_pointer_proj
        self.no_object_pointer = model.no_object_pointer

    def forward(self, token_bd: Tensor, score_b1: Tensor) -> Tensor:
        """Project `(b, d)`; an object whose score is not above 0 is out of view."""
        pointer_bd = self.projection(token_bd.to(self.no_object_pointer.dtype))
        return pointer_bd.where(score_b1 > 0, self.no_object_pointer).float()


class MaskPromptGraph(nn.Module):
    """Read a given mask: as a prompt, and as an answer at a quarter of the input size.

    Source: sam2/modeling/sam2_base.py:415-462 @ 2b90b9f.
    Differs: the antialiased reduction is a product with a matrix on each side, which every runtime
        computes alike.
    """

    rows: Tensor

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.downsample = model.mask_downsample
        side, low = model.image_size, model.mask_input_size[0]
        unit = torch.eye(side)[None, None]
        rows = functional.interpolate(unit, (low, side), mode="bilinear", antialias=True)[0, 0]
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, mask_b1hw: Tensor) -> tuple[Tensor, Tensor]:
        """Read masks at input size, 0 and 1: `(b, 1, 4h, 4w)` each."""
        prompt = self.downsample(mask_b1hw.to(self.downsample.weight.dtype)).float()
        share = self.rows @ mask_b1hw @ self.rows.T
        return prompt, share * GIVEN_SCALE + GIVEN_SHIFT


class MemoryEncoderGraph(nn.Module):
    """Encode what a frame should be remembered by: `Sam2VideoModel.encode_memory`."""

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, embedding_1dhw: Tensor, logits_b1hw: Tensor, score_b1: Tensor, binarize: Tensor
    ) -> Tensor:
        """Encode masks of any size, `(b, 64, h, w)`; `binarize` is one bool."""
        side = self.model.image_size
        full_b1hw = functional.interpolate(logits_b1hw, (side, side), mode="bilinear")
        full_b1hw = self.model.enlarged_masks(full_b1hw)
        seen_b1hw = torch.where(full_b1hw > 0, CERTAIN, -CERTAIN)
        full_b1hw = torch.where(binarize, seen_b1hw, full_b1hw)
        # one for each object: OpenVINO sums two convolutions in place, without broadcasting
        embedding = embedding_1dhw.to(self.model.dtype).expand(len(logits_b1hw), -1, -1, -1)
        features = FrameFeatures(embedding, embedding, embedding)
        memory = self.model.encode_memory(features, full_b1hw, score_b1, binarize=False)
        return memory.float().contiguous()


def attend_in_chunks(
    module: nn.Module,
    query_baqc: Tensor,
    key_bakc: Tensor,
    value_bakc: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend from some queries at a time: the scores of all would fill a gigabyte.

    How many is a matter of the model's input size, so a graph stays valid for any number of objects
    and memories.

    Args:
        module: The caller.
        query_baqc: Queries.
        key_bakc: Keys.
        value_bakc: Values.
        attention_mask: Added to the scores, broadcastable to `(b, a, 1, k)` or without queries.
        **options: `scaling`, factor of the scores.

    Returns:
        Attended values `(b, q, a, c)`, and nothing in place of weights.
    """
    query_baqc = query_baqc * options["scaling"]
    key_back = key_bakc.transpose(-2, -1)
    found = []
    for query in _chunks(query_baqc):
        scores = query @ key_back
        if attention_mask is not None:
            scores = scores + attention_mask
        found.append(scores.softmax(dim=-1, dtype=torch.float32).to(value_bakc.dtype) @ value_bakc)
    joined = found[0] if len(found) == 1 else torch.cat(found, dim=2)
    return joined.transpose(1, 2), None


def _chunks(query_baqc: Tensor) -> tuple[Tensor, ...]:
    """Split queries where their number is that of a large grid."""
    count = query_baqc.shape[2]
    if not isinstance(count, int) or count * count <= LARGEST_PRODUCT:
        return (query_baqc,)
    return query_baqc.split(LARGEST_PRODUCT // count, dim=2)


def merge_values(attention: RotaryAttention) -> None:
    """Let an attention look at memories as they are stored, and project what was found.

    The weights of a query sum to 1, so `sum(a (W x + b)) = W sum(a x) + b`: the value's projection
    joins the output's, and a third of the products over all memories falls away.

    Args:
        attention: Changed where memories are narrower than its values, and it has one head.
    """
    inner, outer = attention.v_proj, attention.o_proj
    if attention.num_heads > 1 or inner.in_features >= inner.out_features:
        return
    merged = nn.Linear(inner.in_features, outer.out_features)
    with torch.no_grad():
        # float64: the product of two weights is rounded once, like a weight
        merged.weight.copy_(outer.weight.double() @ inner.weight.double())
        merged.bias.copy_(outer.weight.double() @ inner.bias.double() + outer.bias.double())
    attention.add_module("v_proj", nn.Identity())
    attention.add_module("o_proj", merged.requires_grad_(requires_grad=False))


@contextmanager
def quietly() -> Iterator[None]:
    """Keep an exporter's progress, and warnings about its own insides, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend_in_chunks)


def graphs_of(model: Sam2VideoModel, fixed: FixedShapes | None = None) -> list[Graph]:
    """List the graphs of a model that is ready for it; see `exportable_copy`.

    Args:
        model: The model.
        fixed: Shapes of graphs for one object; None for graphs whose shapes vary.
    """
    graphs = [*_encoder_graphs(model), *_prompt_graphs(model), *_memory_graphs(model)]
    if fixed is None:
        return graphs
    return [replace(graph, inputs=_of_one(graph, model, fixed), dynamic={}) for graph in graphs]


OBJECTS, CLICKS, MEMORIES, POINTERS = 2, 3, 3, 5  # of examples; 1 would be taken for a constant
OF_OBJECTS = {0: "objects"}


def _of_one(graph: Graph, model: Sam2VideoModel, fixed: FixedShapes) -> Mapping[str, Tensor]:
    """Return the example of a graph filled up, for one object."""
    return next(iter(fixed.calls(graph.name, graph.inputs, model.image_size)))


def _encoder_graphs(model: Sam2VideoModel) -> list[Graph]:
    """List the graphs that see a picture."""
    pixels = torch.zeros(1, 3, model.image_size, model.image_size)
    maps = ("fine", "coarse", "embedding")
    encoder, no_memory = ImageEncoderGraph(model), NoMemoryGraph(model)
    return [
        Graph("image_encoder", encoder, {"pixel_values": pixels}, maps, {}),
        Graph("no_memory", no_memory, {"embedding": _embedding(model)}, ("conditioned",), {}),
    ]


def _prompt_graphs(model: Sam2VideoModel) -> list[Graph]:
    """List the graphs that read prompts and decode masks."""
    width, (rows, columns), low = model.hidden_dim, model.grid, model.mask_input_size
    prompts = {
        "fine": torch.zeros(1, width // 8, 4 * rows, 4 * columns),
        "coarse": torch.zeros(1, width // 4, 2 * rows, 2 * columns),
        "conditioned": _embedding(model).repeat(OBJECTS, 1, 1, 1),
        "points": torch.zeros(OBJECTS, CLICKS, 2),
        "labels": torch.ones(OBJECTS, CLICKS, dtype=torch.int64),
        "mask": torch.zeros(OBJECTS, 1, *low),
        "has_mask": torch.ones(OBJECTS, dtype=torch.bool),
    }
    dynamic = {
        "conditioned": OF_OBJECTS,
        "points": {0: "objects", 1: "points"},
        "labels": {0: "objects", 1: "points"},
        "mask": OF_OBJECTS,
        "has_mask": OF_OBJECTS,
    }
    found = ("logits", "iou", "tokens", "score")
    tokens = {"token": torch.zeros(OBJECTS, width), "score": torch.zeros(OBJECTS, 1)}
    of_tokens = {"token": OF_OBJECTS, "score": OF_OBJECTS}
    given = {"given": torch.zeros(OBJECTS, 1, model.image_size, model.image_size)}
    masks = ("mask", "logits")
    return [
        Graph("mask_decoder", MaskDecoderGraph(model), prompts, found, dynamic),
        Graph("object_pointer", ObjectPointerGraph(model), tokens, ("pointer",), of_tokens),
        Graph("mask_prompt", MaskPromptGraph(model), given, masks, {"given": OF_OBJECTS}),
    ]


def _memory_graphs(model: Sam2VideoModel) -> list[Graph]:
    """List the graphs that write and read memories."""
    memories = {
        "embedding": _embedding(model),
        "spatial": torch.zeros(OBJECTS, MEMORIES, *model.memory_shape),
        "ages": torch.ones(OBJECTS, MEMORIES, dtype=torch.int64),
        "pointers": torch.zeros(OBJECTS, POINTERS, model.hidden_dim),
        "times": torch.zeros(OBJECTS, POINTERS),
    }
    of_memories, of_pointers = {0: "objects", 1: "memories"}, {0: "objects", 1: "pointers"}
    dynamic = {
        "spatial": of_memories,
        "ages": of_memories,
        "pointers": of_pointers,
        "times": of_pointers,
    }
    masks = {
        "embedding": _embedding(model),
        "logits": torch.zeros(OBJECTS, 1, *model.mask_input_size),
        "score": torch.zeros(OBJECTS, 1),
        "binarize": torch.zeros((), dtype=torch.bool),
    }
    of_masks = {"logits": {0: "objects", 2: "rows", 3: "columns"}, "score": OF_OBJECTS}
    attention, encoder = MemoryAttentionGraph(model), MemoryEncoderGraph(model)
    return [
        Graph("memory_attention", attention, memories, ("conditioned",), dynamic),
        Graph("memory_encoder", encoder, masks, ("spatial",), of_masks),
    ]


def _embedding(model: Sam2VideoModel) -> Tensor:
    return torch.zeros(1, model.hidden_dim, *model.grid)
