"""The command line: `sam2-hf segment`, `sam2-hf everything`, `sam2-hf convert`."""

from .program import main as main
