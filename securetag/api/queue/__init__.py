"""The queue as workers see it."""
