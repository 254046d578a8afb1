"""`sam2-hf label`: its options, and what it does."""
