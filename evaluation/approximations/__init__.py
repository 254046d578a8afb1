"""Time that lower precision and smaller input save on photos, and how much masks change."""
