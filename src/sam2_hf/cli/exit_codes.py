"""What the program tells the shell."""

DONE = 0
FAILED = 2  # also for wrong usage, as argparse does
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
