"""Training: objective, optimizer, data loading and the trainer."""
