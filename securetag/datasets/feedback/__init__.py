"""Verdicts that people gave on findings: with consent, scrubbed, and rendered as triage rows."""
