"""The names under which transformers' code reads and writes a session."""
