"""Scans of running web applications: scanners, what they may reach, and what they report."""
