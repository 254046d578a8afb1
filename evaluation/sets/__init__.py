"""Data sets of videos with true masks, and the rules by which each is given and scored."""
