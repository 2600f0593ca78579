"""Overlap of rows with evaluation suites, and of held-out rows with training rows: found and removed."""
