"""Tracking of one video or camera by a command: its plan, prompts, state on disk and results."""
