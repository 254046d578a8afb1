"""The original's `sam2.utils`, as far as others import it."""
