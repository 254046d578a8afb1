"""Completion in a shell."""

import os
import subprocess
import sys

import pytest

from sam2_hf.cli import main
from sam2_hf.cli.installation import completion

ASK = """
import sys; from sam2_hf.cli import main
try:
    main()
finally:
    if {"torch", "numpy"} & set(sys.modules): sys.exit(9)
"""


@pytest.fixture
def candidates(tmp_path):
    """Ask what could end a line, as a shell does."""

    def ask(line):
        told = tmp_path / "told"
        variables = {
            **{"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": "\n"},
            **{"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"},
            "_ARGCOMPLETE_STDOUT_FILENAME": str(told),
        }
        done = subprocess.run(
            [sys.executable, "-c", ASK], check=False, env={**os.environ, **variables}
        )
        assert done.returncode == 0
        return {text.strip() for text in told.read_text().split("\n")}

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sam2-hf se", {"segment"}),
        ("sam2-hf segment --po", {"--point"}),
        ("sam2-hf track --direction b", {"both", "backward"}),
        ("sam2-hf segment --dtype f", {"float32", "float16"}),
        ("sam2-hf segment --model sam2", {"sam2-hiera-micro"}),
    ],
)
def test_commands_options_and_choices_are_completed(candidates, line, expected):
    assert candidates(line) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_lines(shell, capsys):

    assert main(["completion", shell]) == 0

    assert "sam2-hf" in capsys.readouterr().out


def test_without_the_package_the_error_says_what_to_install(monkeypatch, one_error_line):
    monkeypatch.setitem(sys.modules, "argcomplete", None)

    assert main(["completion", "bash"]) == 2

    assert "pip install argcomplete" in one_error_line()


def test_a_shell_that_asks_without_the_package_gets_no_traceback(monkeypatch):
    monkeypatch.setenv(completion.ASKED, "1")
    monkeypatch.setattr(completion.importlib.util, "find_spec", lambda _: None)

    completion.answer_shell()
