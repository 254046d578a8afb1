"""Everything in a video: find objects on key frames, track them, and keep their ids."""
