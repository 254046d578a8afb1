import torch

from sam2_hf.training.sharded import fill, whole


def test_a_tensor_that_is_whole_is_handed_back_without_a_copy():
    tensor = torch.nn.Parameter(torch.ones(3))

    assert whole(tensor).data_ptr() == tensor.data_ptr()
    assert not whole(tensor).requires_grad


def test_a_parameter_is_filled_in_place():
    parameter = torch.nn.Parameter(torch.zeros(3))

    fill(parameter, torch.arange(3.0))

    assert parameter.tolist() == [0.0, 1.0, 2.0]
    assert parameter.requires_grad
