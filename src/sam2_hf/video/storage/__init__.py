"""Storage: records spilled to disk, and sessions saved to files."""
