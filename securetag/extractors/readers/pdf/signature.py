"""Tell a PDF from other formats by its first bytes, and one that was cut off by its last. Pure functions."""

from __future__ import annotations

import re

#: Bytes at the beginning among which the mark of a PDF is, and at the end among which its end mark is.
#: https://opensource.adobe.com/dc-acrobat-sdk-docs/pdfstandards/pdfreference1.7old.pdf (H.3, notes 13 and 18)
HEAD_BYTES, TAIL_BYTES = 1024, 1024
_PDF = re.compile(rb"%PDF-|%!PS-Adobe-\d\.\d PDF-")
_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|script|p|div|h1)\b", re.I | re.S
)
_FORMATS = (
    (re.compile(rb"PK\x03\x04"), "a ZIP archive or an office file"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an office file"),
    (re.compile(rb"\x1f\x8b"), "a gzip file"),
    (re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|II\*\x00|MM\x00\*"), "an image"),
    (re.compile(rb"%!PS"), "PostScript"),
    (re.compile(rb"\{\\rtf"), "RTF"),
    (_HTML, "HTML"),
    (re.compile(rb"\s*<\?xml\b"), "XML"),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS"),
)


def find_other_format(head: bytes) -> str:
    """Return the format of a file that isn't a PDF, with its article; empty for a PDF and for the unknown."""
    if _PDF.search(head):
        return ""
    if not head.strip(b"\x00 \t\r\n"):
        return "empty"
    data = head.removeprefix(b"\xef\xbb\xbf")
    return next((name for pattern, name in _FORMATS if pattern.match(data)), "")


def has_header(head: bytes) -> bool:
    """Whether the beginning of a file holds the mark of a PDF."""
    return bool(_PDF.search(head))


def is_cut_off(tail: bytes) -> bool:
    """Whether the end of a file lacks the mark that ends a PDF."""
    return b"%%EOF" not in tail
