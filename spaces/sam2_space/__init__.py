"""Package of the Space, started by `app.py` beside it."""
