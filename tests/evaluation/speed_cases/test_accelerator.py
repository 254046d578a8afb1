from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from evaluation.speed_cases import accelerator
from evaluation.speed_cases.accelerator import time_on_gpu
from sam2_hf.compiling import Compiled
from sam2_hf.video import compiled_steps


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_there_is_nothing_to_time():
    with pytest.raises(SystemExit, match="needs a CUDA device"):
        time_on_gpu("tiny", torch.float32)


def test_every_side_is_timed_after_the_warm_up(monkeypatch):
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(compiled_steps, "Compiled", partial(Compiled, backend="eager"))
    monkeypatch.setattr(accelerator, "NUM_OBJECTS", (2,))
    monkeypatch.setattr(accelerator, "WARM_UP", 18)
    results = time_on_gpu("tiny", torch.float32, num_frames=20, side=64)
    assert [result.case.split(", ")[1:] for result in results] == [
        ["2 objects", "as it is"],
        ["2 objects", "compiled"],
    ]
    assert all(result.ours > 0 and result.transformers > 0 for result in results)


def test_a_graph_that_is_made_too_late_ends_the_run(monkeypatch):
    monkeypatch.setattr(accelerator, "WARM_UP", 1)

    def frames():
        yield
        yield
        counters["stats"]["unique_graphs"] += 1
        yield

    with pytest.raises(SystemExit, match="1 graphs were compiled after"):
        accelerator._seconds_a_frame(frames())
