"""Measurement of a small model beside baselines that need none."""
