"""The command line: `sam2-hf segment`, `everything`, `track`, `convert`, `export`."""

from .program import main as main
