"""Semi-supervised video object segmentation: objects are given once, and tracked."""
