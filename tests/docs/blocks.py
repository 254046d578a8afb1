"""Code blocks of Markdown pages, and how they are run."""

import importlib
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from unittest.mock import patch

from sam2_hf.cli import main as sam2_hf
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$",
    flags=re.DOTALL | re.MULTILINE,
)
TITLE = re.compile(r'title="([^"]+)"')
# A released checkpoint is 156 MB on the Hub, and twenty epochs are minutes.
IN_TESTS = {
    "facebook/sam2.1-hiera-tiny": SMALL_MODEL,
    "facebook/EdgeTAM": SMALL_MODEL,
    "epochs: 20": "epochs: 0.5",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its file name if it has one, and its text."""

    language: str
    title: str | None
    code: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line of a shell block, without comments."""
        lines = (shlex.split(line, comments=True) for line in self.code.splitlines())
        return [words for words in lines if words]


def blocks_of(page: Path) -> list[Block]:
    """List the blocks of a page, in order."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [
        Block(match["language"], title[1] if title else None, dedent(match["code"]))
        for match in found
        for title in [TITLE.search(match["options"])]
    ]


def run(block: Block, names: dict[str, object]) -> None:
    """Run a block in the working folder; Python blocks share `names`."""
    code = block.code
    for given, instead in IN_TESTS.items():
        code = code.replace(given, instead)
    if block.language == "python":
        exec(compile(code, "<page>", "exec"), names)
    elif block.language == "bash":
        for words in Block("bash", None, code).commands:
            run_command(words)
    elif block.title is not None:
        Path(block.title).write_text(code)


def run_command(words: list[str]) -> None:
    """Run `sam2-hf ...` or `python -m ...` in this process."""
    arguments = [match for word in words for match in expanded(word)]
    if words[0] == "sam2-hf":
        chosen = "--model" in words or words[1] in ("compare", "export", "convert", "doctor")
        status = sam2_hf([*arguments[1:], *([] if chosen else ["--model", SMALL_MODEL])])
    elif words[:2] == ["python", "-m"]:
        with patch.object(sys, "argv", arguments[2:]):
            status = importlib.import_module(words[2]).main()
    else:
        raise AssertionError(f"no test runs {shlex.join(words)}")
    assert status == 0, shlex.join(words)


def expanded(word: str) -> list[str]:
    """Expand a pattern of files, as a shell does."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]
