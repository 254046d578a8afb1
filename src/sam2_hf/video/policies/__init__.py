"""Other memory policies than the original's, one in each file."""
