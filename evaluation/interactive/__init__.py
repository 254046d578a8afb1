"""Interactive video segmentation: a simulated user clicks again where tracking went wrong."""
