"""The two graphs of a photo against the model they are made of."""

import torch

from sam2_hf.export.onnx_files import exportable_copy
from sam2_hf.export.photo_graphs import DECODER, ENCODER, PHOTO_GRAPHS, photo_graphs
from sam2_hf.model.outputs import FrameFeatures
from sam2_hf.model.prompt_encoder import Prompts
from tests.export.photo_prompts import prompts


def test_the_two_graphs_answer_clicks_as_the_model_does(small_model):
    modules = {graph.name: graph.module for graph in photo_graphs(small_model)}
    places, labels, mask, _ = prompts(64, 3, 2)
    with torch.no_grad():
        features = FrameFeatures(*modules[ENCODER](torch.randn(1, 3, 64, 64)))
        maps = (features.fine_bchw, features.coarse_bchw, features.embedding_bchw)
        asked = (places, labels, mask, torch.zeros(3, dtype=torch.bool))
        _, iou, score = modules[DECODER](*maps, *asked)
        wanted = small_model.decode_masks(
            features,
            small_model.condition_on_memory(features, None),
            Prompts(places[:, None], labels[:, None]),
            multimask_output=True,
        )

    assert iou[:, 1:].allclose(wanted.candidate_iou_bm, atol=1e-5)
    assert score.allclose(wanted.score_b1, atol=1e-5)


def test_a_graph_holds_the_weights_it_needs_and_no_others(small_model):
    graphs = photo_graphs(exportable_copy(small_model, torch.float32))
    held = [sum(one.numel() for one in graph.module.parameters()) for graph in graphs]

    assert [graph.name for graph in graphs] == list(PHOTO_GRAPHS)
    encoder = sum(one.numel() for one in small_model.vision_encoder.parameters())
    assert encoder < held[0] < 1.1 * encoder
    assert held[1] < sum(one.numel() for one in small_model.parameters()) - encoder


def test_the_model_keeps_its_parts(small_model):
    before = set(small_model.state_dict())

    photo_graphs(small_model)

    assert set(small_model.state_dict()) == before
