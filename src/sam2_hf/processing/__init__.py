"""Pictures and prompts to model input, and masks back to the picture."""
