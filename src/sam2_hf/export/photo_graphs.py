"""The two graphs that segment photos: an encoder, and a decoder that takes prompts.

They are what formats without a video runner hold. The decoder takes the encoder's maps as they are,
so nothing has to be computed between the two.

Suffixes: b = objects, m = candidate masks (the single one, then the three), t = clicks and corners
of boxes, c = channels, d = decoder channels (256), h, w = rows and columns of the image embedding.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .graphs import Graph, ImageEncoderGraph, MaskDecoderGraph, NoMemoryGraph, graphs_of

ENCODER, DECODER = "image_encoder", "mask_decoder"
PHOTO_GRAPHS = (ENCODER, DECODER)
MAPS = ("fine", "coarse", "embedding")
ANSWERS = ("logits", "iou", "score")

Part = TypeVar("Part", bound=nn.Module)
Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True, slots=True)
class PhotoFormat:
    """A format that the two graphs can be written in.

    Attributes:
        title: Its name in prose.
        suffix: Of its files.
        attention: The attention backend that suits it.
        package: What has to be installed to write and to open it; None for PyTorch itself.
        write: Write a graph to a path.
        open: Open the file of a graph.
        needs: What has to be the same where a file is opened, such as the version of torch.
        python: Code that opens both graphs, in the folder: `encoder` and `decoder`.
        cpp: Two lines of C++ that encode.
        limits: A sentence on where its files run.
    """

    title: str
    suffix: str
    attention: str
    package: str | None
    write: Callable[[Graph, Path], None]
    open: Callable[[Path], Run]
    needs: Callable[[], Mapping[str, str]]
    python: str
    cpp: str
    limits: str


class PhotoDecoderGraph(nn.Module):
    """Encode prompts on a photo and decode masks; see `MaskDecoderGraph`."""

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.no_memory = NoMemoryGraph(model)
        parts = ("prompt_encoder", "mask_decoder", "shared_image_embedding")
        self.decoder = MaskDecoderGraph(_with_parts(model, *parts))

    def forward(
        self,
        fine_1chw: Tensor,
        coarse_1chw: Tensor,
        embedding_1dhw: Tensor,
        points_bt2: Tensor,
        labels_bt: Tensor,
        mask_b1hw: Tensor,
        has_mask_b: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode all candidates of every object.

        Args:
            fine_1chw: From the encoder, `(1, d/8, 4h, 4w)`.
            coarse_1chw: From the encoder, `(1, d/4, 2h, 2w)`.
            embedding_1dhw: From the encoder.
            points_bt2: As of `MaskDecoderGraph`, like the next three.
            labels_bt: 1 on the object, 0 outside it, 2 and 3 corners of a box, -1 nothing; int64.
            mask_b1hw: Logits of an earlier answer, `(b, 1, 4h, 4w)`.
            has_mask_b: Whether there is one, bool.

        Returns:
            Logits `(b, m, 4h, 4w)`, predicted IoU `(b, m)` and object score `(b, 1)`.
        """
        marked_1dhw = self.no_memory(embedding_1dhw)
        marked_bdhw = marked_1dhw.expand(labels_bt.shape[0], -1, -1, -1)
        logits, iou, _, score = self.decoder(
            fine_1chw, coarse_1chw, marked_bdhw, points_bt2, labels_bt, mask_b1hw, has_mask_b
        )
        return logits, iou, score


def photo_graphs(model: Sam2VideoModel) -> list[Graph]:
    """List the two graphs.

    Args:
        model: As `exportable_copy` returns it, or any other to compare with.
    """
    graphs = {graph.name: graph for graph in graphs_of(model)}
    prompts = dict(graphs[DECODER].inputs)
    fine, coarse = prompts.pop("fine"), prompts.pop("coarse")
    embedding = prompts.pop("conditioned")[:1]
    inputs = {**dict(zip(MAPS, (fine, coarse, embedding), strict=True)), **prompts}
    dynamic = {name: graphs[DECODER].dynamic[name] for name in prompts}
    seeing = _with_parts(model, "vision_encoder", "mask_decoder")
    narrow = ("conv_s0", "conv_s1") if model.mask_decoder.narrows else ()
    seeing.mask_decoder = _with_parts(model.mask_decoder, *narrow)
    return [
        Graph(ENCODER, ImageEncoderGraph(seeing), graphs[ENCODER].inputs, MAPS, {}),
        Graph(DECODER, PhotoDecoderGraph(model), inputs, ANSWERS, dynamic),
    ]


def _with_parts(module: Part, *names: str) -> Part:
    """Copy a module with some of its parts, which both share: a graph stores all that it sees."""
    narrow = copy.copy(module)
    narrow._parameters = {}
    narrow._modules = {name: module._modules[name] for name in names}
    return narrow
