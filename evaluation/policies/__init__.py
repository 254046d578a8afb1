"""Accuracy and cost of memory policies, and of approximate options, on the validation clips."""
