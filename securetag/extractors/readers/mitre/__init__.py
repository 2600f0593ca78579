"""Readers of MITRE's publications other than CVE."""
