"""Pipelines: photos or videos and prompts to masks in one call; exported from `sam2_hf`."""
