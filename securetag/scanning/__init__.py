"""Scanners as bounded subprocesses, and what they report as Findings. Knows no queue and no database."""
