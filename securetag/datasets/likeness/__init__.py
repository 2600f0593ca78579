"""Texts and code that are the same but for words: duplicates, and what held-out rows and suites know."""
