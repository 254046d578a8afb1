"""Protocol of the Segment Anything task: clicks on photos."""
