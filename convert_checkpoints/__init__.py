"""Commands about checkpoints: to the Hub's format, back, comparing, checking the released ones."""
