"""The program that hashes outputs: which cases there are, and that a hash depends on bits alone."""

import numpy as np
import pytest
import torch

from tests import output_hashes

CHEAP = "photo/prompts"


def hash_of(*values):
    return output_hashes.hash_of(iter(values))


def test_every_kind_of_output_has_a_case(capsys):
    assert output_hashes.main(["--list"]) == 0

    listed = capsys.readouterr().out.splitlines()
    assert listed == list(output_hashes.CASES)
    kinds = {name.split("/")[0] for name in listed}
    assert kinds == {"golden", "photo", "session", "video", "cli", "train", "evaluation"}


def test_a_case_has_the_same_hash_whenever_it_runs(capsys):
    assert output_hashes.main([CHEAP]) == 0
    (first,) = capsys.readouterr().out.splitlines()
    torch.manual_seed(7)

    assert output_hashes.main([CHEAP]) == 0
    assert capsys.readouterr().out.splitlines() == [first]
    name, digest = first.split()
    assert name == CHEAP
    assert len(bytes.fromhex(digest)) == output_hashes.DIGITS // 2


def test_a_case_that_fails_is_told_and_hides_no_other(monkeypatch, capsys):
    def fails(folder):
        yield 1
        raise ValueError("no such thing\nand more")

    cases = {"bad": fails, "good": lambda folder: iter(["x"])}
    monkeypatch.setattr(output_hashes, "CASES", cases)

    assert output_hashes.main([]) == 1
    bad, good = capsys.readouterr().out.splitlines()
    assert bad == "bad failed: ValueError: no such thing"
    assert good == f"good {hash_of('x')}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int32)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (np.float32([1.0]), np.nextafter(np.float32([1.0]), np.float32(2))),
        (["1"], [1]),
        ([[1], 2], [[1, 2]]),
        ({"a": 1}, {"b": 1}),
        (0.1, np.nextafter(0.1, 1).item()),
    ],
)
def test_values_that_differ_in_a_bit_have_other_hashes(one, other):
    assert hash_of(one) == hash_of(one)
    assert hash_of(one) != hash_of(other)


def test_the_order_of_a_dictionary_is_no_part_of_its_value():
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})


def test_times_and_versions_in_a_file_are_left_out():
    content = {"info": {"version": "1"}, "rows": [{"seconds": 2.0, "area": 3}]}

    assert output_hashes.without_times(content) == {"rows": [{"area": 3}]}
    assert output_hashes.without_timed_columns("step,seconds\n1,0.5\n") == [{"step": "1"}]
