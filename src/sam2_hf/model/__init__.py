"""SAM 2 as plain torch modules: pictures and prompts go in, masks come out, nothing is kept."""
