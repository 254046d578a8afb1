"""Configs of the models and of their image encoders, with their checks."""
