"""Tensors as bytes and back."""

import pytest
import torch
from safetensors import SafetensorError

from sam2_hf.video.storage.record_store import bytes_held, owned, pack, unpack
from tests.video.records import memory_record, same

DTYPES = (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_comes_back_bit_by_bit(dtype):
    record = {
        "map": torch.arange(24).reshape(2, 3, 4).to(dtype),
        "one": torch.ones((), dtype=dtype),
    }

    assert same(unpack(pack(record)), record)


def test_odd_numbers_keep_their_bits():
    odd = torch.tensor([float("nan"), float("-inf"), -0.0, 1e-42])

    assert same(unpack(pack({"odd": odd})), {"odd": odd})


def test_no_tensors_and_empty_tensors_come_back():
    assert unpack(pack({})) == {}
    assert unpack(pack({"a": torch.empty(0), "b": torch.empty(0, 3)}))["b"].shape == (0, 3)


def test_turned_and_shared_tensors_are_written_too():
    numbers = torch.arange(6.0).reshape(2, 3)
    record = {"as it is": numbers, "again": numbers, "turned": numbers.T}

    assert same(unpack(pack(record)), record)


def test_what_is_no_such_file_is_refused():
    with pytest.raises(SafetensorError):
        unpack(b"something else")


def test_a_tensor_of_its_own_is_not_copied():
    record = memory_record()

    assert all(owned(record)[name].data_ptr() == record[name].data_ptr() for name in record)


def test_a_slice_does_not_keep_the_whole_batch_alive():
    batch = torch.randn(100, 8)

    kept = owned({"one": batch[3:4]})["one"]

    assert torch.equal(kept, batch[3:4])
    assert kept.untyped_storage().nbytes() == 32


def test_a_tensor_with_gradients_is_kept_without_them():
    weight = torch.ones(3, requires_grad=True)

    assert not owned({"weight": weight})["weight"].requires_grad


def test_small_tensors_are_not_taken_for_free():
    assert bytes_held({"counts": torch.zeros(10, dtype=torch.uint8)}) > 500
