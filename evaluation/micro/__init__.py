"""Measure, join, check and describe the bundled model."""
