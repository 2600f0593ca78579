"""Readers of OWASP's Markdown and tables."""
