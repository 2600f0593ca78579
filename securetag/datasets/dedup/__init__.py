"""Duplicates: rows with the same words, and rows with nearly the same words."""
