"""Labeled photos and videos of the usual data sets, and clips drawn from them."""
