import pytest
import torch

from sam2_hf.training.optimizer import WeightAverage


def weight(value):
    return torch.nn.Parameter(torch.tensor([float(value)]))


def test_the_average_moves_by_the_rest_of_the_decay():
    one = weight(0)
    average = WeightAverage({"one": one}, decay=0.9)
    with torch.no_grad():
        one.fill_(10)

    average.update(step=10_000)

    assert average.averages["one"].item() == pytest.approx(1.0)


def test_early_steps_weigh_more():
    one = weight(0)
    average = WeightAverage({"one": one}, decay=0.999)
    with torch.no_grad():
        one.fill_(10)

    average.update(step=0)

    assert average.averages["one"].item() == pytest.approx(9.0)  # keeps (1 + 0) / (10 + 0)


def test_averages_are_float32_copies():
    one = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    average = WeightAverage({"one": one}, decay=0.5)
    with torch.no_grad():
        one.zero_()

    assert average.averages["one"].dtype == torch.float32
    assert average.averages["one"].eq(1).all()
