"""Demands to forget."""
