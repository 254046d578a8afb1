"""The protocol of the Segment Anything task: clicks on photos."""
