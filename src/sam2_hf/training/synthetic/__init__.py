"""Clips made of nothing but code, and of regions of photos."""
