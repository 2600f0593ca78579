"""Scans: how a task stands and what it found."""
