import dataclasses

import pytest
import torch

from sam2_hf.model.outputs import FrameFeatures, FrameMemory


def memory():
    return FrameMemory(3, torch.rand(1, 2, 4, 4), torch.rand(1, 8), torch.rand(1, 1))


def features():
    return FrameFeatures(torch.rand(1, 2, 16, 16), torch.rand(1, 4, 8, 8), torch.rand(1, 8, 4, 4))


def test_a_memory_moves_with_all_its_tensors():
    moved = memory().to("meta")

    tensors = (moved.spatial_bx, moved.pointer_bd, moved.score_b1)
    assert moved.frame == 3
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_a_memory_that_is_there_already_is_not_copied():
    here = memory()

    assert here.to("cpu").spatial_bx is here.spatial_bx


@pytest.mark.parametrize("value", [memory(), features()])
def test_nothing_can_be_changed_in_place(value):
    name = dataclasses.fields(value)[-1].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, torch.zeros(1))


def test_features_move_with_all_their_maps():
    moved = features().to("meta")

    maps = (moved.fine_bchw, moved.coarse_bchw, moved.embedding_bchw)
    assert {each.device.type for each in maps} == {"meta"}
