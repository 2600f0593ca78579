"""People's decisions on rows, and their way to and from Argilla."""
