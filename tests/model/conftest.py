"""What the tests of the model share: a tiny model whose every weight matters, and its inputs."""

import copy

import pytest
import torch
from peers import draw_weights, peer_of

from sam2_hf import Sam2Model
from sam2_hf.model import mask_decoder, memory_attention, two_way_transformer
from sam2_hf.model.kernels import cpu_kernels


@pytest.fixture(scope="module", autouse=True)
def _small_models(one_thread):
    """All of these tests run small models."""


@pytest.fixture
def generator():
    """A random stream of the test's own."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def drawn_model(tiny_config):
    """The tiny image model without a zero among its weights, in eval mode; not to be changed."""
    return draw_weights(Sam2Model(tiny_config)).eval()


@pytest.fixture
def own_model(drawn_model):
    """A copy of `drawn_model` to be changed; recording outputs, too, leaves hooks in a model."""
    return copy.deepcopy(drawn_model)


@pytest.fixture(scope="session")
def peer_model(drawn_model):
    """The model of transformers with the weights of `drawn_model`."""
    return peer_of(drawn_model)


@pytest.fixture(scope="session")
def pictures():
    """Two normalized pictures of 64 x 64 pixels."""
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def embeddings(drawn_model, pictures):
    """The two pictures as `drawn_model` encodes them."""
    return drawn_model.get_image_embeddings(pictures)


@pytest.fixture(scope="session")
def clicks():
    """Two clicks, one on and one beside, for three objects in each of two pictures."""
    points = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(2)) * 64
    return {"input_points": points, "input_labels": torch.tensor([1, 0]).expand(2, 3, 2)}


@pytest.fixture(scope="session")
def boxes():
    """One box for each of three objects in two pictures."""
    corners = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(3)) * 64
    return corners.sort(dim=2).values.flatten(2)


@pytest.fixture(scope="session")
def mask_prompts():
    """Earlier mask logits for three objects in two pictures, at a quarter of the input size."""
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(4)) * 5


@pytest.fixture
def small_steps(monkeypatch):
    """Take the faster ways from the first cell on, a few cells at a time."""
    monkeypatch.setattr(cpu_kernels, "MIN_ROWS", 1)
    monkeypatch.setattr(cpu_kernels, "CELLS_AT_ONCE", 16)
    monkeypatch.setattr(mask_decoder, "CELLS_AT_ONCE", 9)
    monkeypatch.setattr(two_way_transformer, "CELLS_AT_ONCE", 9)
    monkeypatch.setattr(two_way_transformer, "FEWEST_CELLS", 1)
    monkeypatch.setattr(memory_attention, "FEWEST_QUERIES", 1)
    monkeypatch.setattr(cpu_kernels, "QUERIES_AT_ONCE", 5)
    monkeypatch.setattr(cpu_kernels, "KEYS_AT_ONCE", 7)
