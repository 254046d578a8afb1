"""Results: the masks of one picture, as objects and as files."""
