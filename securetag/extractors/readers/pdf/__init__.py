"""PDF → pages, lines, tables, headings → sections."""
