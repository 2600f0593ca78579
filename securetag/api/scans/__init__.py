"""Scans: the state of a task and what it found."""
