"""`sam2-hf space`."""

import sys
import types
from pathlib import Path

import pytest

from sam2_hf.cli import main
from sam2_hf.cli.installation import space
from sam2_hf.errors import PromptError


def test_the_page_of_this_checkout_is_found():
    assert (space.find_space(space.CHECKOUTS) / "app.py").is_file()


def test_without_a_checkout_the_error_says_where_the_page_is(tmp_path):
    with pytest.raises(PromptError, match="in a checkout"):
        space.find_space([tmp_path])


def test_all_arguments_go_to_the_pages_program(monkeypatch):
    got = []
    program = types.SimpleNamespace(main=lambda arguments, prog: got.append(arguments) or 0)
    monkeypatch.setitem(sys.modules, "sam2_space.program", program)

    assert main(["space", "--port", "8000", "--model", "tiny", "--help"]) == 0

    assert got == [["--port", "8000", "--model", "tiny", "--help"]]


def test_without_gradio_the_error_says_what_to_install(monkeypatch, one_error_line):
    monkeypatch.setattr(space.importlib.util, "find_spec", lambda _: None)

    assert main(["space"]) == 2

    assert f"pip install '{space.GRADIO}'" in one_error_line()


def test_that_gradio_is_the_one_that_is_tested_here():
    pyproject = Path(__file__).parents[3] / "pyproject.toml"

    assert f'"{space.GRADIO}"' in pyproject.read_text()
