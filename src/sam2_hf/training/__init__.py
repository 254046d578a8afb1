"""Training: data, the objective, and the trainer."""
