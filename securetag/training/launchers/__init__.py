"""training/launchers."""
