from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import TrainingError
from sam2_hf.model.mask_losses import LossRules
from sam2_hf.training.config_io import differences, from_plain, set_values, to_plain, with_value


@dataclass(frozen=True, slots=True)
class Inner:
    size: int = 1
    kind: Literal["round", "square"] = "round"


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    share: float = 0.5
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[int, int] = (1, 2)
    options: Mapping[str, object] = field(default_factory=dict)
    is_on: bool = False

    def __post_init__(self):
        if self.share > 1:
            raise ValueError(f"share is {self.share}")


FULL = {
    "name": "a",
    "share": 0.25,
    "inner": {"size": 3, "kind": "square"},
    "maybe": {"size": 4, "kind": "round"},
    "many": [{"size": 5, "kind": "round"}],
    "pair": [3, 4],
    "options": {"deep": [1, 2]},
    "is_on": True,
}


def test_what_was_read_is_written_as_it_was():
    assert to_plain(from_plain(Outer, FULL)) == FULL


def test_what_is_left_out_has_its_default():
    assert from_plain(Outer, {"name": "a", "inner": None}) == Outer("a")


def test_only_values_that_were_set_are_written_on_request():
    outer = from_plain(Outer, {"name": "a", "inner": {"size": 1, "kind": "square"}})

    assert set_values(outer) == {"name": "a", "inner": {"kind": "square"}}


def test_a_number_without_a_dot_is_a_number_although_yaml_takes_it_for_a_text():
    assert from_plain(Outer, {"name": "a", "share": "5e-6"}).share == 5e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shaer": 1}, "no setting 'shaer'. Did you mean share?"),
        ({"inner": {"sise": 1}}, "no setting 'sise' in inner. Did you mean size?"),
        ({"many": [{}, {"zzz": 1}]}, "no setting 'zzz' in many.1. Choose one of size, kind."),
        ({"inner": {"kind": "sqare"}}, "inner.kind is 'sqare'. Did you mean square?"),
        ({"inner": {"size": 1.5}}, "inner.size is 1.5, but it must be a whole number"),
        ({"inner": {"size": True}}, "inner.size is True, but it must be a whole number"),
        ({"share": "much"}, "share is 'much', but it must be a number"),
        ({"share": "nan"}, "share is 'nan', but it must be a number"),
        ({"share": 2}, "share is 2.0"),
        ({"pair": [1]}, "pair has 1 values, but it must have 2"),
        ({"pair": "12"}, "pair is '12', but it must be a list"),
        ({"is_on": "maybe"}, "is_on is 'maybe', but it must be true or false"),
        ({"options": 3}, "options is 3, but it must be a mapping"),
        ({"maybe": 3}, "maybe is 3, but it must be a mapping"),
    ],
)
def test_a_mistake_is_refused_with_its_place(change, message):
    with pytest.raises(TrainingError) as caught:
        from_plain(Outer, {"name": "a", **change})

    assert message in str(caught.value)


def test_a_missing_setting_is_named():
    with pytest.raises(TrainingError, match="the config lacks the setting name"):
        from_plain(Outer, {})


def test_a_source_without_its_kind_is_told_which_one_it_is():
    with pytest.raises(TrainingError, match=r"data\.1 lacks the setting kind, which has no def"):
        from_plain(SourceConfig, {"path": "photos"}, "data.1")


def test_what_the_loss_refuses_is_refused_with_its_place():
    with pytest.raises(TrainingError, match="loss: loss_size=0 must be 1 or more"):
        from_plain(LossRules, {"loss_size": 0}, "loss")


def test_a_value_deep_inside_is_replaced_in_a_copy():
    changed = with_value(with_value(FULL, "many.0.size", 9), "maybe.kind", "square")

    assert (changed["many"][0]["size"], changed["maybe"]["kind"]) == (9, "square")
    assert (FULL["many"][0]["size"], FULL["maybe"]["kind"]) == (5, "round")


@pytest.mark.parametrize("path", ["many.1.size", "many.x", "name.first"])
def test_a_path_that_leads_nowhere_is_refused(path):
    with pytest.raises(TrainingError, match=f"--set {path}"):
        with_value(FULL, path, 1)


def test_differences_are_told_value_by_value():
    other = with_value(with_value(FULL, "many.0.size", 9), "pair", [1, 2, 3])

    assert differences(FULL, other) == {"many.0.size": (5, 9), "pair": ([3, 4], [1, 2, 3])}
