"""Markup of any kind → clean Markdown, its language, and its sections. Knows no source and no format."""
