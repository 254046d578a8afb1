"""The Space's parts; `app.py` beside this folder starts it."""
