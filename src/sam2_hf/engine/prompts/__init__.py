"""Prompts of files from other tools, as objects of the videos of a set."""
