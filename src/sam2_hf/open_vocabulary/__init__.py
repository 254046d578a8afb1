"""Objects and masks by name: detectors and scorers that take any words, and tracking with them."""
