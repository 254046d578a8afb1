import pytest
import torch

from sam2_hf.model.kernels.fast_paths import constant_table
from sam2_hf.model.position_encoding import rotary_table, sine_table

CPU = torch.device("cpu")


def test_is_made_once_for_equal_arguments():
    calls = []

    @constant_table(2)
    def table(length):
        calls.append(length)
        return torch.arange(length)

    assert table(3) is table(3)
    table(4)
    assert calls == [3, 4]
    assert table.cache_info().misses == 2


def test_is_an_ordinary_tensor_though_made_in_inference_mode():
    with torch.inference_mode():
        table = sine_table(3, 5, 8, CPU, torch.float32)
    assert not table.is_inference()
    weight = torch.ones(8, requires_grad=True)
    (table.sum(dim=(2, 3)) * weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("table", [sine_table, rotary_table])
def test_compiles_into_one_graph_with_equal_numbers(table):
    last = (torch.float32,) if table is sine_table else ()
    arguments = (3, 5, 8, *(() if table is sine_table else (10_000.0,)), CPU, *last)

    def doubled(values):
        made = table(*arguments)
        return values * (made if isinstance(made, torch.Tensor) else made[0])

    compiled = torch.compile(doubled, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(torch.tensor(2.0)), doubled(torch.tensor(2.0)))
