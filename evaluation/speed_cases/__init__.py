"""Cases that `evaluation.speed` times, each against the peers that can do the same."""
