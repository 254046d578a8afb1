"""Half precision on a CPU without instructions for it: its products are computed in float32."""

import copy
import threading

import numpy as np
import pytest
import torch
from peers import draw_weights, largest_difference
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from sam2_hf import Sam2Model, Sam2VideoModel, VideoSession
from sam2_hf.model.kernels import half_products
from sam2_hf.model.kernels.half_products import (
    HALVES,
    PRODUCTS,
    Float32Products,
    is_slow,
    product_speed,
    products_in_float32,
)
from tests.drawn_video import drawn_video_model
from tests.small_families import CONFIGS

ROUNDING = 2.0**-8  # of bfloat16, relative
PASS = 8 * ROUNDING  # of the largest value, after the roundings of a whole pass
OBJECT_ROWS = 64  # values of products that are as small as one row for an object

MODELS = {"sam2": lambda: drawn_video_model().config, **CONFIGS}


class Recorder(TorchDispatchMode):
    """Notes the sizes of products that were computed in half precision after all."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        if func.overloadpacket in PRODUCTS and any(one.dtype in HALVES for one in tensors):
            self.found.append((func.overloadpacket.__name__, tuple(tensors[0].shape)))
        return found


@pytest.fixture
def slow_cpu(monkeypatch):
    """A CPU without instructions for half precision."""
    monkeypatch.setattr(half_products, "is_slow", lambda dtype: True)


@pytest.fixture
def fast_cpu(monkeypatch):
    """A CPU with them."""
    monkeypatch.setattr(half_products, "is_slow", lambda dtype: False)


def attention(tokens, weight):
    heads = tokens.unflatten(-1, (2, -1)).transpose(1, 2)
    return functional.scaled_dot_product_attention(heads, heads, heads)


WORK = {
    "linear": lambda tokens, weight: functional.linear(tokens, weight),
    "linear with bias": lambda tokens, weight: functional.linear(tokens, weight, weight[:, 0]),
    "matmul": lambda tokens, weight: tokens @ weight,
    "addmm": lambda tokens, weight: torch.addmm(weight[0], tokens[0], weight),
    "einsum": lambda tokens, weight: torch.einsum("bnc,dc->bnd", tokens, weight),
    "convolution": lambda tokens, weight: functional.conv2d(
        tokens[None], weight[:2, :2, None, None]
    ),
    "transposed": lambda tokens, weight: functional.conv_transpose2d(
        tokens[None], weight[:2, :2, None, None]
    ),
    "attention": attention,
}


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", WORK)
def test_a_product_is_that_of_float32_rounded(name, dtype, inference, generator):
    tokens = torch.randn(2, 8, 8, generator=generator).to(dtype)
    weight = torch.randn(8, 8, generator=generator).to(dtype)

    with torch.inference_mode(inference), Float32Products():
        found = WORK[name](tokens, weight)

    wanted = WORK[name](tokens.float(), weight.float())
    assert found.dtype == dtype
    # with gradients torch may add a bias afterwards, which rounds twice
    twice = 2 * ROUNDING * wanted.abs().max()
    assert torch.equal(found, wanted.to(dtype)) or (
        not inference and largest_difference(found.float(), wanted) <= twice
    )


def test_all_else_stays_as_it_is(generator):
    values = torch.randn(4, 8, generator=generator).bfloat16()

    with Float32Products():
        assert torch.equal(values.softmax(-1), values.clone().softmax(-1))
        assert (values * values).dtype == torch.bfloat16
        assert (values.float() @ values.float().T).dtype == torch.float32
        assert torch.equal(
            torch.ones(2, 2, dtype=torch.int64) @ torch.eye(2, dtype=torch.int64),
            torch.ones(2, 2, dtype=torch.int64),
        )


def test_gradients_pass_through(generator):
    tokens = torch.randn(8, 8, generator=generator).bfloat16()
    weight = torch.randn(8, 8, generator=generator).bfloat16().requires_grad_()

    with Float32Products():
        functional.linear(tokens, weight).sum().backward()

    assert weight.grad.dtype == torch.bfloat16
    assert torch.allclose(weight.grad.float(), tokens.float().sum(0).expand(8, -1), atol=0.1)


def test_a_context_is_of_one_thread_and_ends():
    elsewhere = []
    with Float32Products():
        assert products_in_float32.get()
        thread = threading.Thread(target=lambda: elsewhere.append(products_in_float32.get()))
        thread.start()
        thread.join()
    assert elsewhere == [False]
    assert not products_in_float32.get()


def test_an_error_ends_the_context():
    with pytest.raises(RuntimeError), Float32Products():
        torch.ones(2, 3).bfloat16() @ torch.ones(2, 3).bfloat16()

    assert not products_in_float32.get()


@torch.no_grad()
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("family", MODELS)
def test_no_large_product_of_a_session_is_left_in_half_precision(family, fast, slow_cpu):
    model = draw_weights(Sam2VideoModel(MODELS[family]())).eval().bfloat16()
    model.fast = fast
    clip = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)
    recorder = Recorder()

    with recorder:
        session = VideoSession.open(clip, model)
        session.click(0, 1, (20, 28))
        session.mask(0, 2, np.tri(40, dtype=bool))
        list(session.propagate())

    left = [found for found in recorder.found if np.prod(found[1][:-1]) > OBJECT_ROWS]
    assert left == []


@torch.no_grad()
def test_no_product_of_a_photo_is_left_in_half_precision(drawn_model, pictures, clicks, slow_cpu):
    model = copy.deepcopy(drawn_model).bfloat16()
    recorder = Recorder()

    with recorder:
        embeddings = model.get_image_embeddings(pictures[:1].bfloat16())
        one = {name: values[:1] for name, values in clicks.items()}
        model.decode_gated(embeddings, **one, multimask_output=True, min_iou=0.0)
        answer = model(image_embeddings=embeddings, **one)

    assert recorder.found == []
    assert answer.pred_masks.dtype == torch.bfloat16


@torch.no_grad()
def test_a_model_answers_as_on_a_cpu_with_the_instructions(drawn_model, pictures, slow_cpu):
    model = copy.deepcopy(drawn_model).bfloat16()

    found = model.get_image_embeddings(pictures.bfloat16())

    wanted = drawn_model.get_image_embeddings(pictures)
    for half, full in zip(found, wanted, strict=True):
        assert half.dtype == torch.bfloat16
        assert largest_difference(half.float(), full) <= PASS * full.abs().max()


@torch.no_grad()
def test_nothing_changes_where_the_cpu_is_fast(drawn_model, pictures, fast_cpu):
    model = copy.deepcopy(drawn_model).bfloat16()
    recorder = Recorder()

    with recorder:
        model.get_image_embeddings(pictures.bfloat16())

    assert recorder.found


def test_float32_models_are_not_measured(drawn_model, pictures, monkeypatch):
    monkeypatch.delattr(half_products, "is_slow")

    assert drawn_model.get_image_embeddings(pictures)[0].dtype == torch.float32


def test_what_is_trained_in_half_precision_is_trained(tiny_config, slow_cpu, pictures):
    model = draw_weights(Sam2Model(tiny_config)).bfloat16()

    model.vision_encoder(pictures.bfloat16()).fpn_hidden_states[-1].float().sum().backward()

    gradient = model.vision_encoder.backbone.patch_embed.projection.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_a_cpu_is_slow_if_its_products_are(monkeypatch):
    for speed, slow in ((0.1, True), (0.95, False), (2.0, False)):
        is_slow.cache_clear()
        monkeypatch.setattr(half_products, "product_speed", lambda dtype, device, s=speed: s)
        assert is_slow(torch.bfloat16) is slow
    is_slow.cache_clear()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_speed_is_a_ratio_of_times(dtype):
    assert 0.001 < product_speed(dtype, torch.device("cpu")) < 100
