"""The data engine: a queue of videos becomes a labeled data set, reviewed where it is doubtful."""
