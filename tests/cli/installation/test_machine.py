"""What torch finds on a machine."""

import pytest
import torch
from huggingface_hub import constants

from sam2_hf.cli.installation import machine


def test_every_data_type_is_measured():
    speeds = machine.measure_dtypes(torch.device("cpu"), side=8)

    assert set(speeds) == {"float32", "bfloat16", "float16"}
    assert all(speed > 0 for speed in speeds.values())


@pytest.mark.parametrize(
    ("speeds", "told"),
    [
        ({"float32": 100, "bfloat16": 170}, "--dtype bfloat16 is worth a try: products are 1.7"),
        ({"float32": 100, "bfloat16": 110}, "float32, the default, is as fast as any"),
        ({"float32": 100}, "float32, the default, is as fast as any"),
    ],
)
def test_only_a_clearly_faster_data_type_is_recommended(speeds, told):
    assert machine.recommend_dtype(speeds).startswith(told)


def test_everything_is_described(monkeypatch, capsys):
    monkeypatch.setattr(machine, "measure_dtypes", lambda _: {"float32": 100.0})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    facts = machine.describe_machine()

    told = capsys.readouterr().out
    assert all(text in told for kind in ("devices", "kernels", "models") for text in facts[kind])
    assert any(text.startswith("sam2-hiera-micro: in ") for text in facts["models"])
    assert "Hub: offline mode (HF_HUB_OFFLINE is set)" in facts["models"]


def test_what_this_cpu_computes_in_another_type_is_told(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(machine, "is_upcast", lambda dtype: dtype == torch.float16)
    assert "float16 on the CPU: multiplied in float32" in list(machine._kernels(cpu))[-1]

    monkeypatch.setattr(machine, "is_upcast", lambda dtype: False)
    assert not any("in float32" in text for text in machine._kernels(cpu))


def test_a_hub_that_is_silent_is_told(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(machine, "hub_answers", lambda _: False)

    assert "does not answer within 4 s" in list(machine._models())[-1]
