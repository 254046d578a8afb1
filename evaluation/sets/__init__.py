"""Video data sets with true masks, and their rules of prompting and scoring."""
