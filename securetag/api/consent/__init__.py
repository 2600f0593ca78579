"""A tenant's leave to learn from its findings."""
