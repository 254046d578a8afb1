"""Data sets of labeled photos and videos, and clips sampled from them."""
