"""Half precision on a CPU without instructions for it: its products are computed in float32."""

import copy
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from peers import draw_weights, largest_difference
from torch._dynamo.testing import CompileCounter
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from sam2_hf import Sam2Model, Sam2VideoModel, VideoSession
from sam2_hf.model.kernels import fast_paths
from sam2_hf.model.kernels.half_products import (
    INSTRUCTIONS,
    PRODUCTS,
    STATE,
    Float32Products,
    is_upcast,
)
from tests.drawn_video import drawn_video_model
from tests.small_families import CONFIGS

ROUNDING = 2.0**-8  # of bfloat16, relative
PASS = 8 * ROUNDING  # of the largest value, after the roundings of a whole pass
HALVES = tuple(INSTRUCTIONS)
OBJECT_ROWS = 64  # values of products that are as small as one row for an object

MODELS = {"sam2": lambda: drawn_video_model().config, **CONFIGS}


class Recorder(TorchDispatchMode):
    """Notes the sizes of products that were computed in half precision after all."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        values = [*args, *(kwargs or {}).values()]
        lists = [value if isinstance(value, (list, tuple)) else [value] for value in values]
        tensors = [value for one in lists for value in one if isinstance(value, torch.Tensor)]
        if func.overloadpacket in PRODUCTS and any(one.dtype in HALVES for one in tensors):
            self.found.append((func.overloadpacket.__name__, tuple(tensors[0].shape)))
        return found


@pytest.fixture
def slow_cpu(monkeypatch):
    """A CPU without instructions for half precision."""
    monkeypatch.setattr(fast_paths, "is_upcast", lambda dtype: True)


@pytest.fixture
def fast_cpu(monkeypatch):
    """A CPU with them."""
    monkeypatch.setattr(fast_paths, "is_upcast", lambda dtype: False)


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


def test_a_result_goes_where_the_caller_wants_it(generator):
    tokens, found = torch.randn(8, 8, generator=generator).bfloat16(), torch.zeros(8, 8).bfloat16()

    with Float32Products():
        torch.mm(tokens, tokens, out=found)

    assert torch.equal(found, tokens @ tokens)


def test_operands_of_two_types_are_refused_as_ever():
    with pytest.raises(RuntimeError, match="dtype"), Float32Products():
        functional.linear(torch.ones(2, 8), torch.ones(8, 8).bfloat16())


def test_a_context_is_of_one_thread_and_ends():
    elsewhere = []
    with Float32Products():
        assert STATE.in_float32
        thread = threading.Thread(target=lambda: elsewhere.append(STATE.in_float32))
        thread.start()
        thread.join()
    assert elsewhere == [False]
    assert not STATE.in_float32


def test_an_error_ends_the_context():
    with pytest.raises(RuntimeError), Float32Products():
        torch.ones(2, 3).bfloat16() @ torch.ones(2, 3).bfloat16()

    assert not STATE.in_float32


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


@torch.inference_mode()
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


def test_nothing_is_asked_of_a_float32_model(drawn_model, pictures, monkeypatch):
    monkeypatch.delattr(fast_paths, "is_upcast")

    assert drawn_model.get_image_embeddings(pictures)[0].dtype == torch.float32


def test_training_stays_as_it_is(tiny_config, slow_cpu, pictures):
    model, recorder = draw_weights(Sam2Model(tiny_config)).bfloat16().train(), Recorder()

    with recorder:
        model.vision_encoder(pictures.bfloat16()).fpn_hidden_states[-1].float().sum().backward()

    names = {name for name, _ in recorder.found}
    assert "convolution" in names
    assert model.vision_encoder.backbone.patch_embed.projection.weight.grad.isfinite().all()


def test_who_forgets_to_turn_gradients_off_is_served_too(drawn_model, pictures, slow_cpu):
    model, recorder = copy.deepcopy(drawn_model).bfloat16(), Recorder()

    with recorder:
        features = model.vision_encoder(pictures.bfloat16()).fpn_hidden_states[-1]
    assert recorder.found == []
    features.float().sum().backward()

    assert model.vision_encoder.backbone.patch_embed.projection.weight.grad.abs().max() > 0


@torch.no_grad()
def test_a_compiled_part_runs_compiled(drawn_model, pictures, slow_cpu):
    model, counter = copy.deepcopy(drawn_model).bfloat16(), CompileCounter()
    model.vision_encoder.backbone.blocks[0].mlp.compile(backend=counter)

    model.get_image_embeddings(pictures.bfloat16())

    assert counter.frame_count > 0


@pytest.mark.parametrize(
    ("capabilities", "dtype", "upcast"),
    [
        ({"architecture": "x86_64", "avx2": True}, torch.bfloat16, True),
        ({"architecture": "x86_64", "avx512_f": True}, torch.float16, True),
        ({"architecture": "x86_64", "avx512_bf16": True}, torch.bfloat16, False),
        ({"architecture": "x86_64", "amx_bf16": True}, torch.bfloat16, False),
        ({"architecture": "x86_64", "avx512_bf16": True}, torch.float16, True),
        ({"architecture": "x86_64"}, torch.float32, False),
        ({"architecture": "aarch64"}, torch.bfloat16, False),
        ({}, torch.bfloat16, False),
    ],
)
def test_a_type_is_upcast_where_the_cpu_has_no_instructions(
    capabilities, dtype, upcast, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert is_upcast.__wrapped__(dtype) is upcast


WITHOUT_ONEDNN = """
import types, torch
torch.ops.mkldnn = types.SimpleNamespace()
torch.backends.mkldnn.is_available = lambda: False
from sam2_hf import Sam2Model, Sam2Config
from sam2_hf.model.kernels import cpu_kernels, half_products
cpu_kernels.PREFERS_MKL = False
assert len(half_products.PRODUCTS) > 9
assert not cpu_kernels.has_fused_product(torch.ones(1))
"""


def test_a_torch_without_onednn_is_enough():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ONEDNN], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
