"""Load test of the Space with many concurrent visitors."""
