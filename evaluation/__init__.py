"""Evaluation of the package: scores on data sets, and speed against other implementations."""
