"""Measures the package: scores on data sets, speed against other implementations."""
