import math
from functools import partial

import pytest
import torch
from torch.nn import functional

from evaluation.speed_cases import gpu_checks
from evaluation.speed_cases.gpu_checks import check_gpu, check_kernel
from sam2_hf.compiling import Compiled
from sam2_hf.video import compiled_steps

SMALL = (40, 60, 16, 16)
CPU = torch.device("cpu")


def exact_attention(query, key, value, bias, _tiles):
    mask = None if bias is None else bias[:, None].double()
    given = (query.double(), key.double(), value.double())
    return functional.scaled_dot_product_attention(*given, attn_mask=mask, scale=1.0)


@pytest.fixture
def one_size(monkeypatch):
    monkeypatch.setattr(gpu_checks, "SIZES", ((64, 32, 2),))
    monkeypatch.setattr(gpu_checks, "SMALL_SIZES", ())


def test_an_exact_kernel_passes_with_and_without_a_bias(monkeypatch, one_size):
    monkeypatch.setattr(gpu_checks, "attend_in_parts", exact_attention)

    results = list(check_kernel(CPU, torch.float32, SMALL))

    assert [result.case for result in results] == [
        "kernel, float32, no bias, 64 x 32, 2 stages",
        "kernel, float32, bias, 64 x 32, 2 stages",
    ]
    assert all(result.ours == 0 for result in results)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda *args: exact_attention(*args[:3], None, None),  # ignores the bias
        lambda *args: exact_attention(*args) * (1 if args[3] is None else math.nan),
    ],
    ids=["bias", "nan"],
)
def test_a_wrong_kernel_ends_the_run(monkeypatch, one_size, wrong):
    monkeypatch.setattr(gpu_checks, "attend_in_parts", wrong)

    with pytest.raises(SystemExit, match=r"float32, bias, 64 x 32, 2 stages: .* times the error"):
        list(check_kernel(CPU, torch.float32, SMALL))


def test_tiles_that_do_not_fit_are_reported(monkeypatch):
    def small_only(query, key, value, bias, tiles):
        if tiles.queries > 32:
            raise RuntimeError("out of resource: shared memory")
        return exact_attention(query, key, value, bias, tiles)

    monkeypatch.setattr(gpu_checks, "SIZES", ((64, 32, 2), (32, 32, 2)))
    monkeypatch.setattr(gpu_checks, "SMALL_SIZES", ())
    monkeypatch.setattr(gpu_checks, "attend_in_parts", small_only)

    results = list(check_kernel(CPU, torch.float32, SMALL))

    assert [math.isnan(result.ours) for result in results] == [True, True, False, False]


@pytest.mark.parametrize("only", ["no bias", "bias", "neither"])
def test_a_kernel_that_runs_with_no_tiles_ends_the_run(monkeypatch, one_size, only):
    def broken(*args):
        if only != ("no bias" if args[3] is None else "bias"):
            raise RuntimeError("no such intrinsic")
        return exact_attention(*args)

    monkeypatch.setattr(gpu_checks, "attend_in_parts", broken)

    with pytest.raises(SystemExit, match="it runs with no tiles"):
        list(check_kernel(CPU, torch.float32, SMALL))


def test_compiled_tracking_is_compared_with_eager_tracking(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(compiled_steps, "Compiled", partial(Compiled, backend="eager"))
    monkeypatch.setattr(gpu_checks, "NUM_OBJECTS", (2,))

    (result,) = check_gpu("tiny", torch.float32, num_frames=3, side=64)

    assert result.case == "compiled against eager, 2 objects, 3 frames"
    assert result.ours <= gpu_checks.MOST_FLIPPED


def test_tracking_that_differs_ends_the_run(monkeypatch):
    mask = torch.zeros(4, 4, dtype=torch.bool)

    def results(*_, compiled):
        return [{1: mask}, {1: mask if compiled else ~mask}]

    monkeypatch.setattr(gpu_checks, "our_results", results)

    with pytest.raises(SystemExit, match=r"100\.00% of the pixels of frame 1"):
        gpu_checks.check_compiled(None, 1)
