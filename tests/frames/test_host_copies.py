from dataclasses import replace

import pytest
import torch

from sam2_hf.frames.host_copies import HostCopies, finish_host_copy, numbers_to_device, to_device
from sam2_hf.video.frame_result import FrameResult

CPU = torch.device("cpu")


def test_numbers_become_a_tensor():
    made = numbers_to_device([[1, 2], [3, 4]], torch.int64, CPU)
    assert made.tolist() == [[1, 2], [3, 4]]
    assert made.dtype == torch.int64


@pytest.mark.parametrize("device", [None, "cpu", CPU])
def test_a_tensor_that_is_there_stays(device):
    tensor = torch.rand(3)
    assert to_device(tensor, device) is tensor


def test_a_tensor_goes_where_it_is_sent():
    assert to_device(torch.rand(3), "meta").is_meta


def test_what_is_on_the_host_is_not_copied():
    tensor, copies = torch.rand(3), HostCopies()
    assert copies.take(tensor) is tensor
    copies.wait()
    assert finish_host_copy(tensor) is tensor


def test_a_result_on_the_host_is_handed_back_as_it_is():
    result = FrameResult(0, (1,), torch.rand(1, 4, 4), torch.rand(1), torch.rand(1), (8, 8))
    assert result.start_host_copy(HostCopies()) is result


def test_masks_that_were_brought_are_those_that_are_made_on_demand():
    logits = torch.randn(2, 6, 6)
    result = FrameResult(0, (3, 7), logits, torch.rand(2), torch.rand(2), (11, 13))
    full = tuple(result.video_logits()[:, 0] > 0)
    brought = replace(result, host_masks=full).finish_host_copy()
    assert brought.masks.keys() == result.masks.keys()
    for object_id, mask in result.masks.items():
        assert (brought.masks[object_id] == mask).all()


@pytest.mark.gpu
def test_copies_arrive_before_they_are_read():
    copies = HostCopies()
    taken = copies.take(torch.arange(1 << 22, device="cuda") + 1)
    copies.wait()
    assert taken.is_pinned()
    assert not finish_host_copy(taken).is_pinned()
    assert torch.equal(taken, torch.arange(1, (1 << 22) + 1))
