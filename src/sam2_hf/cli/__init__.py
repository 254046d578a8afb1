"""The command line: `sam2-hf segment`, `everything`, `track`, `convert`."""

from .program import main as main
