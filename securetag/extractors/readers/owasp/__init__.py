"""What OWASP publishes as Markdown and tables."""
