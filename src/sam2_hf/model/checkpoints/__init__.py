"""How checkpoints are found, read, named and written."""
