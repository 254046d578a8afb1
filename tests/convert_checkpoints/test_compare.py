"""The command that compares two checkpoints."""

import pytest
import torch

from convert_checkpoints.command_line import run
from convert_checkpoints.compare import compare, describe_difference, main
from tests.small_checkpoint import save_original, small_original

IOU_TOKEN = "sam_mask_decoder.iou_token.weight"


def test_both_formats_of_one_checkpoint_are_equal(small_file, small_folder, capsys):
    code = run(main, [str(small_file), str(small_folder)])

    assert code == 0
    assert capsys.readouterr().out.endswith(
        " tensors equal, 0 different, 0 only in the first, 0 only in the second\n"
    )


def test_a_file_of_weights_can_be_named_itself(small_file, small_folder):
    weights = small_folder / "model.safetensors"

    assert run(main, [str(weights), str(small_folder)]) == 0
    assert run(main, [str(small_file), str(small_file.parent)]) == 0


def test_differences_are_listed_by_name(small_file, tmp_path, capsys):
    weights = small_original()
    weights[IOU_TOKEN] = weights[IOU_TOKEN] + 0.5
    weights["extra"] = torch.zeros(1)
    del weights["no_obj_ptr"]
    changed = save_original(tmp_path / "changed.pt", weights)

    code = run(main, [str(small_file), str(changed)])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert lines[:3] == [
        "only in the first   no_obj_ptr",
        "only in the second  extra",
        f"different           {IOU_TOKEN}: largest difference 0.5",
    ]
    assert lines[3].endswith("1 different, 1 only in the first, 1 only in the second")


def test_a_foreign_tensor_shows_between_formats(small_folder, tmp_path, capsys):
    odd = save_original(tmp_path / "odd.pt", small_original() | {"extra": torch.zeros(1)})

    assert run(main, [str(small_folder), str(odd)]) == 1
    assert "only in the second  extra" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("second", "difference"),
    [
        (torch.tensor([1.0, 2.0]), None),
        (torch.tensor([1.0, 2.25]), "largest difference 0.25"),
        (torch.tensor([[1.0, 2.0]]), "shape (2,) and (1, 2)"),
        (torch.tensor([1.0, 2.0]).bfloat16(), "dtype float32 and bfloat16, largest difference 0"),
        (torch.tensor([1.0, float("nan")]), "1 values are not a number, largest difference 0"),
    ],
)
def test_two_tensors_are_compared(second, difference):
    assert describe_difference(torch.tensor([1.0, 2.0]), second) == difference


def test_bits_count():
    """A negative zero is not a zero; a value that is not a number equals itself."""
    odd = {"zero": torch.tensor(0.0), "nan": torch.tensor(float("nan"))}

    report = compare(odd, {"zero": torch.tensor(-0.0), "nan": torch.tensor(float("nan"))})

    assert report.equal == ["nan"]
    assert report.different == {"zero": "largest difference 0"}


def test_what_cannot_be_read_is_one_line_and_exit_code_2(small_file, tmp_path, capsys):
    (tmp_path / "broken.pt").write_bytes(b"")

    for wrong in ("absent.pt", "absent", "broken.pt"):
        assert run(main, [str(small_file), str(tmp_path / wrong)]) == 2

    assert capsys.readouterr().err.count("\n") == 3
