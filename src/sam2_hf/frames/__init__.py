"""The frames of a video, wherever they come from: files, folders, arrays, streams."""
