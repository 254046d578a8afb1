"""Checkpoint commands: convert to the Hub's format and back, compare, check released models."""
