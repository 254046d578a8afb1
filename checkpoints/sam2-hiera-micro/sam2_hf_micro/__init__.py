"""Weights of sam2-hiera-micro, which sam2_hf finds by name. They lie beside this file."""
