import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch

from sam2_hf.data.config import Augmentation, DataMixture, SourceConfig
from sam2_hf.errors import DataError
from sam2_hf.training import data_loader as loader_module
from sam2_hf.training.data_loader import ClipLoader, ClipRequest, ClipStream, plan_requests
from tests.training.drawn_data import write_pairs


@pytest.fixture
def stream(tmp_path):
    path = str(write_pairs(tmp_path, count=5))
    source = SourceConfig("pairs", path, batch_size=4, augment=Augmentation())
    return ClipStream(DataMixture((source,), 32))


def test_each_process_asks_for_its_parts():
    found = [
        plan_requests(range(3, 5), rank=rank, processes=2, accumulation=2) for rank in range(2)
    ]

    assert found[0][:2] == [ClipRequest(3, 0, 4), ClipRequest(3, 1, 4)]
    assert found[1][2:] == [ClipRequest(4, 2, 4), ClipRequest(4, 3, 4)]
    assert len({request for requests in found for request in requests}) == 8


def test_workers_change_nothing(stream):
    requests = plan_requests(range(4), accumulation=2)

    alone, helped = (list(ClipLoader(stream, requests, num_workers=number)) for number in (0, 2))

    assert len(alone) == len(helped) == 8
    for batch, other in zip(alone, helped, strict=True):
        assert torch.equal(batch.clips_bt3hw, other.clips_bt3hw)
        assert torch.equal(batch.labels_bothw, other.labels_bothw)
        assert torch.equal(batch.seeds_b, other.seeds_b)
        assert (batch.names, batch.skipped) == (other.names, other.skipped)


def test_torch_draws_the_same_with_and_without_a_loader(stream):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)

    list(ClipLoader(stream, plan_requests(range(2))))

    assert torch.equal(torch.rand(2), expected)


def test_the_wait_is_measured_without_what_comes_between(stream, monkeypatch):
    now = iter(range(100))
    clock = SimpleNamespace(perf_counter=lambda: next(now))
    monkeypatch.setattr(loader_module, "time", clock)
    loader = ClipLoader(stream, plan_requests(range(3)))

    for _ in loader:
        next(now)

    assert loader.wait_s == 3


def test_the_wait_can_be_measured_anew(stream):
    loader = ClipLoader(stream, plan_requests(range(1)))
    list(loader)

    assert loader.wait_s > 0

    loader.reset_times()

    assert loader.wait_s == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_outlives_the_signal_that_its_parent_gets_too(stream, number):
    batches = iter(ClipLoader(stream, plan_requests(range(8)), num_workers=1, prefetch=1))
    next(batches)

    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, number)

    assert len(list(batches)) == 7


def insist(worker):
    """Send a signal again and again, until torch tells that the worker has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.05)


def test_a_worker_that_is_told_more_than_once_ends(stream):
    batches = iter(ClipLoader(stream, plan_requests(range(8)), num_workers=1, prefetch=1))
    next(batches)
    (worker,) = multiprocessing.active_children()

    with pytest.raises(RuntimeError, match="killed by signal: Terminated"):
        insist(worker.pid)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_arrives_as_it_was_raised(stream, tmp_path, num_workers):
    for path in tmp_path.glob("*.png"):
        path.unlink()
    loader = ClipLoader(stream, plan_requests(range(2)), num_workers=num_workers)

    with pytest.raises(DataError) as caught:
        list(loader)

    assert str(caught.value).startswith("pairs:")
    assert "Traceback" not in str(caught.value)


def test_reports_of_skipped_items_come_out_of_workers(stream, tmp_path):
    (tmp_path / "p2.jpg").write_bytes(b"nothing")
    loader = ClipLoader(stream, plan_requests(range(5)), num_workers=1)

    skipped = [message for batch in loader for message in batch.skipped]

    assert len(skipped) >= 3
    assert all("p2.jpg" in message for message in skipped)
