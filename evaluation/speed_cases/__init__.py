"""Cases of `evaluation.speed`, each with the peers that support it."""
