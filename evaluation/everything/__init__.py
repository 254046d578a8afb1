"""Unsupervised video object segmentation: everything in a video, scored after matching."""
