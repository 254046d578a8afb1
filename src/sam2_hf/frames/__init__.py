"""Frame sources of a video: files, folders, arrays, streams."""
