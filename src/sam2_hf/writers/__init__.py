"""Results written to files: masks, JSON, video."""
