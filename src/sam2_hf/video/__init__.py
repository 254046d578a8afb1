"""Videos: where frames come from, what is remembered of them, and the session that owns both."""
