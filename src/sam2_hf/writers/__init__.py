"""Writers of results: masks, JSON, video."""
