"""SAM 2 as stateless torch modules: images and prompts in, masks out."""
