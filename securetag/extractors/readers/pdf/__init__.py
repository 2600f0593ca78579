"""Read PDF files: pages, lines, tables and headings, then sections."""
