"""Photos and videos that commands read, and checks of a command line before torch is imported."""
