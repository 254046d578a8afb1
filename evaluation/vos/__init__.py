"""Semi-supervised video object segmentation: objects are prompted once, and tracked."""
