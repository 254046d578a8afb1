"""The program as a whole: exit codes, one line for what goes wrong."""

import subprocess
import sys

import pytest

import sam2_hf
from sam2_hf.cli import main, segment as segment_command


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"sam2-hf {sam2_hf.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["segment"], ["everything"], ["track"], ["convert"]])
def test_help_has_an_example_of_every_command(capsys, arguments):
    assert main([*arguments, "--help"]) == 0

    assert "sam2-hf " + (arguments[0] if arguments else "segment") in capsys.readouterr().out
    assert main([*arguments, "-h"]) == 0
    assert "example" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["segment"],
        ["segment", "cup.jpg", "--point", "here"],
        ["segment", "cup.jpg", "--dtype", "int7"],
        ["everything", "cup.jpg", "--points-per-side", "many"],
        ["track", "cup.mp4", "--click", "290,225"],
        ["track", "cup.mp4", "--outputs", "gif"],
        ["track", "cup.mp4", "--limit", "0"],
        ["convert", "only-one"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(one_error_line, arguments):
    assert main(arguments) == 2

    assert one_error_line().endswith("--help)")


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (sam2_hf.ImageError("no\n  picture"), 2, "sam2-hf: error: no picture\n"),
        (OSError(28, "No space left on device"), 2, "sam2-hf: error: [Errno 28] No space"),
        (MemoryError(), 2, "sam2-hf: error: MemoryError"),
        (RuntimeError("CUDA out of memory."), 2, "sam2-hf: error: out of memory"),
        (KeyboardInterrupt(), 130, "sam2-hf: interrupted\n"),
    ],
)
def test_what_goes_wrong_is_one_line(monkeypatch, capsys, cup, error, code, told):
    def fail(arguments):
        raise error

    monkeypatch.setattr(segment_command, "run", fail)

    assert main(["segment", str(cup), "--point", "3,3"]) == code

    assert capsys.readouterr().err.startswith(told)


def test_a_mistake_of_ours_is_not_hidden(monkeypatch, cup):
    def fail(arguments):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(segment_command, "run", fail)

    with pytest.raises(RuntimeError, match="shapes"):
        main(["segment", str(cup), "--point", "3,3"])


def test_the_program_runs_in_a_process_of_its_own(model_folder, cup, tmp_path):
    command = [sys.executable, "-c", "import sys; from sam2_hf.cli import main; sys.exit(main())"]
    arguments = ["segment", str(cup), "--point", "30,20", "--model", model_folder]

    done = subprocess.run(
        [*command, *arguments, "--out", str(tmp_path / "out")],
        capture_output=True,
        check=False,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("command", ["segment", "track"])
def test_help_loads_neither_torch_nor_transformers(command):
    code = (
        f"import sys; from sam2_hf.cli import main; main(['{command}', '--help']); "
        "sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert done.returncode == 0
