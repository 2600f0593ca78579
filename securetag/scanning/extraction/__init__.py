"""Code inside files that aren't code: scripts of HTML and Vue, cells of notebooks, programs by `#!` line.

Semgrep reads a file by its ending. What it would not read is written as a generated copy into a folder of the
scan's own, never into the project, with the same lines, and findings are reported for the original.
"""

from securetag.scanning.extraction.extract import PROGRAM_BYTES, Extract, extract, language_of_program
from securetag.scanning.extraction.notebook import OtherLanguageError

__all__ = ["PROGRAM_BYTES", "Extract", "OtherLanguageError", "extract", "language_of_program"]
