"""Interactive video segmentation: a simulated user corrects tracking errors with clicks."""
