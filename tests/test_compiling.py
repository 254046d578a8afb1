import logging

import pytest
import torch
from torch._dynamo.utils import counters

from sam2_hf import compiling
from sam2_hf.compiling import Compiled


def doubled(model, values):
    return (model.weight * 2 * values,)


def asks_the_host(model, values):
    return (model.weight * 2,) if values.sum() > 0 else (model.weight,)


@pytest.fixture
def layer():
    torch._dynamo.reset()
    counters.clear()
    return torch.nn.Linear(2, 2, bias=False)


def test_answers_as_the_step_does_and_compiles_once_for_each_shape(layer):
    compiled = Compiled(doubled, backend="eager")
    for rows in (1, 3, 1, 3):
        values = torch.rand(rows, 2, 2)
        assert torch.equal(compiled(layer, values)[0], doubled(layer, values)[0])
    assert counters["stats"]["unique_graphs"] == 2


def test_copies_share_what_was_compiled(layer):
    for _ in range(2):
        Compiled(doubled, backend="eager")(layer, torch.rand(2, 2))
    assert counters["stats"]["unique_graphs"] == 1


def test_sees_a_change_of_weights(layer):
    compiled = Compiled(doubled, backend="eager")
    compiled(layer, torch.ones(2, 2))
    with torch.no_grad():
        layer.weight.fill_(3.0)
    assert compiled(layer, torch.ones(2, 2))[0].unique().tolist() == [6.0]


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so_once(layer, caplog):
    compiled = Compiled(asks_the_host, backend="eager")
    values = torch.rand(2, 2)
    with caplog.at_level(logging.WARNING):
        answers = [compiled(layer, values)[0] for _ in range(2)]
    assert torch.equal(answers[0], asks_the_host(layer, values)[0])
    assert torch.equal(*answers)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "asks_the_host cannot be compiled"
    ]


def test_a_mistake_in_the_step_itself_is_not_swallowed(layer):
    with pytest.raises(RuntimeError, match="size"):
        Compiled(doubled, backend="eager")(layer, torch.rand(3, 5))


def test_beyond_the_limit_other_shapes_run_as_they_are(layer, monkeypatch, caplog):
    monkeypatch.setattr(compiling, "MOST_GRAPHS", 2)
    compiled = Compiled(doubled, backend="eager")
    for rows in (1, 2, 3, 4, 1):
        values = torch.rand(rows, 2, 2)
        assert torch.equal(compiled(layer, values)[0], doubled(layer, values)[0])
    assert counters["stats"]["unique_graphs"] == 2
    assert "cannot be compiled" not in caplog.text
