"""Synthetic training clips: procedural objects, and plain regions."""
