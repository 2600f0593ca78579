"""Suppressions: what people have chosen not to hear of."""
