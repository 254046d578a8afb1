from dataclasses import replace

import pytest
import torch

from sam2_hf.data.clip import ClipBatch
from sam2_hf.data.config import SourceConfig
from sam2_hf.training.config import TrainConfig
from sam2_hf.training.trainer import advice, is_dead_worker, is_out_of_memory

CONFIG = TrainConfig("m", "o", (SourceConfig("pairs"),), steps=1)


def batch():
    labels = torch.zeros(2, 3, 4, 8, 8, dtype=torch.bool)
    labels[:, :2] = True
    frames = torch.zeros(2, 4, 8, 8, 3, dtype=torch.uint8)
    return ClipBatch(frames, labels, 4, torch.zeros(2, dtype=torch.int64), ("a", "b"), "videos")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("not enough memory: you tried to allocate 8 bytes"),
    ],
)
def test_a_lack_of_memory_is_known_on_every_device(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory")])
def test_other_errors_are_left_alone(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("text", "is_dead"),
    [
        ("DataLoader worker (pid(s) 7) exited unexpectedly", True),
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", True),
        ("Caught RuntimeError in DataLoader worker process 0.", False),
    ],
)
def test_a_dead_worker_is_known(text, is_dead):
    assert is_dead_worker(RuntimeError(text)) == is_dead


def test_the_advice_says_what_was_held_and_what_to_lower():
    text = advice(CONFIG, batch(), where="cuda:0")

    assert text.startswith("cuda:0 ran out of memory while training on 2 clip(s) of 4 frame(s)")
    assert "with 4 object(s) at 8 pixels, of videos" in text
    for setting in ("batch_size", "max_objects", "num_frames", "image_size", "bf16"):
        assert setting in text
    assert "gradient_checkpointing: true" in text


def test_the_advice_leaves_out_what_is_done_already():
    saving = replace(CONFIG, gradient_checkpointing=True, precision="bf16")

    text = advice(saving, None, where="cpu")

    assert "gradient_checkpointing" not in text
    assert "bf16" not in text
