"""Cases that `evaluation.speed` times, each against whoever else can do the same."""
