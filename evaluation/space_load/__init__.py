"""Visitors of the Space, many at a time, and what they wait for."""
