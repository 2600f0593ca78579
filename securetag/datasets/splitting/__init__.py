"""Train, validation and test: what rows have in common, and the split that follows from it."""
