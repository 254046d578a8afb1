import pytest
import torch

from sam2_hf.training import precision
from sam2_hf.training.precision import bfloat16_speed, chosen_precision

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """A CPU whose products in bfloat16 have a given speed."""

    def of(speed):
        monkeypatch.setattr(precision, "bfloat16_speed", lambda device: speed)

    return of


def test_auto_takes_what_is_faster_and_says_why(measured):
    measured(2.0)
    assert chosen_precision("auto", CPU) == (
        "bf16",
        "precision auto: bf16, since a product in bfloat16 is 2 times as fast as in float32 on "
        "this CPU",
    )
    measured(0.15)
    assert chosen_precision("auto", CPU)[0] == "no"


def test_bfloat16_on_a_cpu_without_units_for_it_is_kept_but_warned_about(measured):
    measured(0.15)
    chosen, note = chosen_precision("bf16", CPU)

    assert chosen == "bf16"
    assert "0.15 times as fast" in note
    assert "precision: auto" in note


def test_nothing_is_measured_where_nothing_is_in_question(monkeypatch):
    monkeypatch.delattr(precision, "bfloat16_speed")

    assert chosen_precision("no", CPU) == ("no", "")
    assert chosen_precision("fp16", torch.device("cuda")) == ("fp16", "")


def test_the_speed_is_a_ratio_of_times():
    assert 0.01 < bfloat16_speed(CPU) < 100
