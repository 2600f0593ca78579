"""Convert markup to clean Markdown, detect its language, and split it into sections. No module here depends
on a source.
"""
