"""From pictures and prompts to what the model eats, and from its masks back to the picture."""
