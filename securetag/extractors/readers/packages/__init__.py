"""Readers of published packages of code: their archives, and what a correction changed."""
