"""Findings over all scans, and the verdicts of people."""
