"""Each graph in each runtime against the module that it was made of."""

import numpy as np
import pytest
import torch

from sam2_hf.export.graph_folder import GraphFolder
from sam2_hf.export.graphs import attend_in_chunks, graphs_of
from sam2_hf.export.onnx_files import GRAPHS, exportable_copy
from sam2_hf.export.parity import moving_shapes
from sam2_hf.model.kernels import fast_paths
from sam2_hf.model.memory_tokens import MemoryInputs

TOLERANCE = 1e-4  # of the largest value, or absolute where that is below 1
MARGIN = 1e-3  # logits nearer to 0 may be binarized either way


@pytest.fixture(scope="module")
def modules(bundled_model):
    return {graph.name: graph for graph in graphs_of(exportable_copy(bundled_model, torch.float32))}


@pytest.fixture(scope="module", params=["exported", "exported_openvino", "exported_fixed"])
def graphs(request):
    return GraphFolder(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def features(bundled_model):
    frame = torch.from_numpy(moving_shapes(1)[0]).permute(2, 0, 1)[None].float() / 255
    pixels = torch.nn.functional.interpolate(frame, (256, 256)) * 4 - 2
    with torch.no_grad():
        return pixels, bundled_model.encode_image(pixels)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def compare(modules, graphs, name, **inputs):
    with torch.no_grad():
        wanted = modules[name].module(*inputs.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    found = graphs(name, **inputs)

    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert (one.shape, one.dtype) == (other.shape, torch.float32)
        worst = (one - other).abs().max().item() if one.numel() else 0.0
        assert worst <= TOLERANCE * max(1.0, other.abs().max().item()), f"{name}: {worst:.1e}"


def test_a_picture_is_encoded_as_by_the_module(modules, graphs, features):
    compare(modules, graphs, "image_encoder", pixel_values=features[0])


def test_an_embedding_is_marked_as_without_memory(modules, graphs, features):
    compare(modules, graphs, "no_memory", embedding=features[1].embedding_bchw)


@pytest.mark.parametrize(
    ("objects", "memories", "pointers"), [(1, 1, 1), (1, 7, 16), (3, 9, 19), (2, 1, 0)]
)
def test_any_number_of_memories_is_attended_to(
    modules, graphs, features, objects, memories, pointers
):
    compare(
        modules,
        graphs,
        "memory_attention",
        embedding=features[1].embedding_bchw,
        spatial=draw(objects, memories, 64, 16, 16),
        ages=torch.arange(objects * memories).reshape(objects, memories) % 7 + 1,
        pointers=draw(objects, pointers, 128),
        times=draw(objects, pointers),
    )


@pytest.mark.parametrize(
    ("labels", "has_mask"),
    [([[1]], [False]), ([[2, 3, 0], [1, -10, -10], [1, 1, 1]], [True, False, True])],
)
def test_clicks_boxes_and_masks_are_decoded(modules, graphs, features, labels, has_mask):
    labels, objects = torch.tensor(labels), len(labels)
    places = torch.rand(*labels.shape, 2, generator=torch.Generator().manual_seed(0)) * 256
    compare(
        modules,
        graphs,
        "mask_decoder",
        fine=features[1].fine_bchw,
        coarse=features[1].coarse_bchw,
        conditioned=features[1].embedding_bchw.repeat(objects, 1, 1, 1),
        points=places,
        labels=labels,
        mask=4 * draw(objects, 1, 64, 64),
        has_mask=torch.tensor(has_mask),
    )


def test_object_pointers_are_made_of_tokens(modules, graphs):
    score = torch.tensor([[3.0], [0.0], [-2.0]])

    compare(modules, graphs, "object_pointer", token=draw(3, 128), score=score)


def test_given_masks_are_read_as_by_the_module(modules, graphs):
    given = torch.from_numpy(np.kron(draw(2, 1, 16, 16) > 0, np.ones((16, 16)))).float()

    compare(modules, graphs, "mask_prompt", given=given)


@pytest.mark.parametrize("binarize", [True, False])
@pytest.mark.parametrize("side", [64, 256])
def test_masks_of_either_size_are_remembered(modules, graphs, features, binarize, side):
    logits = 3 * draw(2, 1, side, side)
    if binarize:  # and enlarged by both in their own order of summation
        logits = torch.where(logits.abs() < MARGIN, 1.0, logits).sign() * 8
    compare(
        modules,
        graphs,
        "memory_encoder",
        embedding=features[1].embedding_bchw,
        logits=logits,
        score=torch.tensor([[1.0], [-1.0]]),
        binarize=torch.tensor(binarize),
    )


def test_there_is_a_graph_for_every_name(modules):
    assert set(modules) == set(GRAPHS)


def test_attention_in_chunks_is_attention(monkeypatch):
    query, key, value = draw(1, 2, 64, 8), draw(1, 2, 9, 8), draw(1, 2, 9, 8)
    bias = torch.zeros(1, 1, 1, 9).index_fill(3, torch.tensor([4]), -torch.inf)
    whole = torch.nn.functional.scaled_dot_product_attention(query, key, value, bias, scale=0.3)
    monkeypatch.setattr("sam2_hf.export.graphs.LARGEST_PRODUCT", 64 * 16)

    found, weights = attend_in_chunks(torch.nn.Identity(), query, key, value, bias, scaling=0.3)

    assert weights is None
    assert torch.allclose(found, whole.transpose(1, 2), atol=1e-6)


def test_a_model_stays_as_it_is_while_a_copy_is_made_ready(bundled_model):
    before = bundled_model.config._attn_implementation

    ready = exportable_copy(bundled_model, torch.float16)

    assert fast_paths.is_fast(bundled_model)
    assert not fast_paths.is_fast(ready)
    assert bundled_model.config._attn_implementation == before
    assert next(bundled_model.parameters()).dtype == torch.float32


def test_memories_are_attended_to_as_they_are_stored(bundled_model, features):
    ready = exportable_copy(bundled_model, torch.float32)
    memories = MemoryInputs((draw(2, 64, 16, 16),) * 2, (7, 1), draw(2, 3, 128), draw(2, 3))
    with torch.no_grad():
        one, other = (
            model.condition_on_memory(features[1], memories) for model in (ready, bundled_model)
        )

    assert isinstance(ready.memory_attention.layers[0].cross_attn_image.v_proj, torch.nn.Identity)
    assert isinstance(ready.memory_attention.layers[0].self_attn.v_proj, torch.nn.Linear)
    assert (one - other).abs().max() <= TOLERANCE
