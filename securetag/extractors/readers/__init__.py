"""Readers, one a format: the bytes of a file → Records. `registry` has them by name."""
