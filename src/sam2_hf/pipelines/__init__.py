"""From photos and prompts to masks in one call; the public names are in `sam2_hf` itself."""
