"""Examples of the help, which must be command lines that work."""

import shlex

import pytest

from sam2_hf.cli import help_texts, main
from sam2_hf.cli.arguments import read_arguments

TEXTS = [
    text for name, text in vars(help_texts).items() if name.isupper() and isinstance(text, str)
]
EXAMPLES = sorted(
    {line.strip() for text in TEXTS for line in text.splitlines() if line.startswith("  sam2-hf ")}
)


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_can_be_typed(line):
    words = shlex.split(line.partition("  ")[0])
    words = words[1 : words.index(">")] if ">" in words else words[1:]
    words = words[: words.index("|")] if "|" in words else words

    assert read_arguments(words).command == words[0]


@pytest.mark.parametrize("command", ["segment", "everything", "track"])
def test_help_names_every_file_that_is_written(command, capsys):
    endings = {
        "segment": ("_segment_overlay.png", "_segment_mask.png", "_segment.json"),
        "everything": ("_everything_overlay.png", "_everything_masks.png", "_everything.json"),
        "track": ("_overlay.mp4", "_masks/", "_objects/", "_masklets.json", "_scores.csv"),
    }

    assert main([command, "--help"]) == 0

    told = capsys.readouterr().out
    assert all(ending in told for ending in endings[command])


def test_help_fits_a_terminal_of_a_hundred_columns():
    assert max(len(line) for text in TEXTS for line in text.splitlines()) <= 100
