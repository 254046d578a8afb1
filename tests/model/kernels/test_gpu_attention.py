"""The kernel runs in Triton's interpreter, which has to be chosen before Triton is imported."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sam2_hf.model.kernels import gpu_attention
from sam2_hf.model.kernels.gpu_attention import Tiles, best_tiles

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs Triton to be installed"
)
ROOT = Path(__file__).parents[3]
KERNEL = """
import torch
from sam2_hf.model.kernels.gpu_attention import Tiles, attend_in_parts, drawn, is_exact

for dtype, tolerance in ((torch.float32, 2e-6), (torch.float16, 2e-3)):  # it knows no bfloat16
    given = drawn(torch.device("cpu"), dtype, (100, 330, 32, 16))
    for tiles in (Tiles(64, 32, 8), Tiles(32, 64, 1), Tiles(64, 64, 132, 3), Tiles(16, 16, 8, 1)):
        assert is_exact(given, tiles), (dtype, tiles)
    query, key, value = given
    several = query, torch.cat([key, key.flip(2)]), torch.cat([value, value * 2])
    bias = torch.zeros(2, 330, dtype=query.dtype)
    bias[0, 40:250] = -torch.inf
    found = attend_in_parts(*several, bias, Tiles(32, 32, 8))
    for row, (keys, values) in enumerate(zip(*several[1:])):
        there = bias[row] == 0
        alone = query, keys[None, there], values[None, there]
        expected = attend_in_parts(*alone, None, Tiles(64, 64, 1))
        off = (found[row] - expected[0]).abs().max() / expected.abs().max()
        assert off < tolerance, (dtype, off)
"""
MODEL = """
import dataclasses, torch
from sam2_hf.model.kernels.gpu_attention import Tiles
from sam2_hf.video.static_memory import MemorySlots, ShapeBucket
from tests.drawn_video import own_video_model, pixel_values, recollection

model = own_video_model()
with torch.no_grad():
    features = model.encode_image(pixel_values())
    slots = MemorySlots(model, ShapeBucket(2, 7, 16), torch.float32)
    for memories in (
        slots.fill([recollection(1, seed=8)]),
        slots.fill([recollection(1, ages=(7, 6, 5, 4, 3, 2, 1), pointers=16, seed=9)] * 2),
    ):
        expected = model.condition_on_memory(features, memories)
        in_parts = dataclasses.replace(memories, tiles=Tiles(32, 32, 4))
        found = model.condition_on_memory(features, in_parts)
        assert not torch.equal(found, expected)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        model.fast = False
        assert torch.equal(model.condition_on_memory(features, in_parts), expected)
        model.fast = True
"""


CHOICE = """
import types, torch
from sam2_hf.model.kernels import gpu_attention as parts

def choose(*taken, exact=True):
    left = iter(taken)
    parts._milliseconds = lambda work: (work(), next(left))[1]
    parts.is_exact = lambda *_: exact
    return parts._measured.__wrapped__(torch.device("cpu"), torch.float32, (64, 96, 32, 16))

torch.cuda.get_device_properties = lambda _: types.SimpleNamespace(multi_processor_count=8)
parts.SIZES = ((64, 32, 3), (64, 32, 2))
assert choose(5.0, 3.0, 4.0) == parts.Tiles(64, 32, 8, 3)
assert choose(5.0, 6.0, 4.0) == parts.Tiles(64, 32, 8, 2)
assert choose(1.0, 3.0, 4.0) is None
assert choose(5.0, exact=False) is None
parts.SIZES = ((64, 48, 2), (32, 32, 2))  # no power of two: Triton refuses it
assert choose(5.0, 3.0) == parts.Tiles(32, 32, 8)
parts.SIZES, parts.SMALL_SIZES = ((64, 48, 2),), ((16, 16, 2), (16, 16, 1))
assert choose(5.0, 4.0, 3.0) == parts.Tiles(16, 16, 8, 1)
"""


def run_interpreted(program):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "parity")])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@needs_triton
def test_the_kernel_is_as_exact_as_torch():
    run_interpreted(KERNEL)


@needs_triton
def test_memory_attention_in_parts_is_what_it_is_without():
    run_interpreted(MODEL)


@needs_triton
def test_the_fastest_tiles_are_chosen_that_work_and_are_exact():
    run_interpreted(CHOICE)


@pytest.mark.parametrize(
    ("objects", "parts"),
    [(1, 5), (2, 3), (10, 1)],
)
def test_there_are_as_many_parts_as_keep_all_processors_busy(objects, parts):
    assert Tiles(64, 64, 132).parts(objects, 4096, 28_736) == parts


def test_there_is_no_part_without_a_tile():
    assert Tiles(64, 64, 132).parts(1, 64, 100) == 2


def test_a_cpu_has_no_tiles():
    sizes = (64, 128, 32, 16)
    assert best_tiles(torch.device("cpu"), torch.float32, sizes) is None


def test_tiles_are_measured_on_the_device_of_the_model(monkeypatch):
    """Triton launches on the current device, and events belong to it."""
    current = []

    @contextlib.contextmanager
    def of(device):
        current.append(device)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", of)
    monkeypatch.setattr(gpu_attention.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(gpu_attention, "_measured", lambda *_: current[-1])

    second = torch.device("cuda:1")
    assert best_tiles(second, torch.bfloat16, (64, 128, 32, 16)) == second


@pytest.mark.gpu
@needs_triton
def test_tiles_are_chosen_by_measurement():
    sizes = (4096, 28_736, 256, 64)
    found = best_tiles(torch.device("cuda"), torch.bfloat16, sizes)
    assert found is None or isinstance(found, Tiles)
