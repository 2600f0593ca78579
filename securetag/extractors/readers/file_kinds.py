"""Tell the kind of a user's file: which reader it is for, or why it holds nothing to learn.

Contents come before names; the ending decides between texts that look alike.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from securetag.errors import SourceError
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.fetching.unpack import BOMB_BYTES, MAX_RATIO
from securetag.extractors.readers.pdf.signature import find_other_format
from securetag.extractors.text.pandoc import FORMATS, is_pandoc_installed
from securetag.extractors.text.prose_check import (
    MIN_PROSE_SHARE,
    is_license_name,
    is_license_text,
    measure_prose_share,
)
from securetag.system.zips import DAMAGED_ZIP

ReaderKind = Literal["pdf", "html", "rows", "parquet", "text", "rst", "document", "osv", "cve", "csaf"]

#: Maximum bytes of one file, since readers hold a file in memory.
MAX_FILE_BYTES = 512 << 20
#: Bytes at the beginning of a file by which its kind is told.
_HEAD_BYTES = 1 << 16
#: First bytes → name of the kind, for files that no reader reads.
_UNREADABLE_KINDS = (
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"SQLite format 3", "an SQLite database"),
)
_HTML_TAG = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|main|article|div|h1|p|table)\b", re.I)
_XML_START = re.compile(rb"<(?:\?xml|!DOCTYPE|[A-Za-z_][\w.:-]*[\s>])")
_SEARCH_INDEX = re.compile(r"^(?:search[-_.]?(?:index|data|docs?)|searchindex|lunr[-_.]?index)\b", re.I)
_MARKDOWN = frozenset({".md", ".markdown", ".mdown", ".mkd"})
_RST = frozenset({".rst", ".rest"})
#: Endings of texts that may be prose; of others Pygments knows the language.
_PROSE = _MARKDOWN | _RST | {"", ".txt", ".text", ".log", ".me", ".1st", ".news", ".changes"}
_SETTINGS = frozenset(
    {
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".cfg",
        ".conf",
        ".properties",
        ".env",
        ".lock",
        ".plist",
        ".po",
        ".pot",
    }
)
#: JSON that tools read: packages, locks, settings, reports.
_SETTINGS_NAMES = frozenset(
    {"package.json", "package-lock.json", "composer.json", "tsconfig.json", "jsconfig.json", "manifest.json"}
    | {
        "bower.json",
        "angular.json",
        "settings.json",
        "launch.json",
        "tasks.json",
        "renovate.json",
        "lerna.json",
    }
)
#: A JSON schema, a file that follows one, or the description of an API.
_SCHEMA = re.compile(rb'^\{(?:[^{}]*"\$schema"\s*:|[^{}]*"properties"\s*:\s*\{|\s*"(?:openapi|swagger)"\s*:)')
#: Formats of advisories → what each of their documents has: OSV's three fields are in any order.
_ADVISORY_FORMATS: tuple[tuple[ReaderKind, re.Pattern[bytes]], ...] = (
    ("cve", re.compile(rb'\A\{[^\0]*?"dataType"\s*:\s*"CVE_RECORD"')),
    ("csaf", re.compile(rb'\A\{[^\0]*?"csaf_version"\s*:\s*"')),
    (
        "osv",
        re.compile(
            rb'\A[\[{](?=[^\0]*?"id"\s*:\s*")(?=[^\0]*?"(?:affected"\s*:\s*\[|schema_version"\s*:))'
            rb'(?=[^\0]*?"(?:modified|published)"\s*:\s*"\d{4}-)'
        ),
    ),
)
_RST_MARK = re.compile(
    r"^\.\. (?:[\w-]+::|_[^\n:]+:)|^[=~^*#-]{4,}\n\S[^\n]*\n[=~^*#-]{4,}$"
    r"|(?<![\w:]):[\w:]{1,40}:`[^`\n]{1,200}`",
    re.M,
)


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, and counted under this reason."""

    reason: str


def detect_kind(file: FetchedFile) -> ReaderKind | Skipped:
    """Return which reader a file is for, or why it is left out.

    Raises SourceError for a file that no reader reads: binary data, XML.
    """
    path = file.path
    size = path.stat().st_size
    if path.name.startswith("."):
        return Skipped("a hidden file")
    if not size:
        return Skipped("an empty file")
    if size > MAX_FILE_BYTES:
        raise SourceError(f"a file of more than {MAX_FILE_BYTES >> 20} MiB")
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return _detect_binary(path, head) or _detect_markup(path, head) or _detect_text(path, head)


def _detect_binary(path: Path, head: bytes) -> ReaderKind | Skipped | None:
    ending = path.suffix.lower()
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if ending == ".pdf" and (other := find_other_format(head)):
        # Mostly the page of an error that was saved under the document's name.
        raise SourceError(
            f"is {other}, not PDF", hint="Fetch the document again, or give the file its own ending."
        )
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"{\\rtf"):
        return _choose_document(".rtf")
    if head.startswith(b"PK\x03\x04") and ending in FORMATS and _is_office_file(path):
        return _choose_document(ending)
    for magic, name in _UNREADABLE_KINDS:
        if head.startswith(magic):
            raise SourceError(
                f"{name}, which no reader knows", hint="Unpack or convert it, or narrow `glob`."
            )
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff") and not _is_text(head):
        raise SourceError("binary data, which no reader knows")
    return None


def _is_office_file(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except DAMAGED_ZIP:
        return False
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(BOMB_BYTES, MAX_RATIO * path.stat().st_size) or unpacked > MAX_FILE_BYTES:
        raise SourceError(f"an Office document that unpacks to {unpacked:,} bytes")
    return any(info.filename in ("[Content_Types].xml", "mimetype") for info in infos)


def _is_text(head: bytes) -> bool:
    """Whether bytes are a text. A NUL or two are damage, which costs their record alone."""
    controls = sum(head.count(bytes([code])) for code in range(32) if code not in b"\t\n\r\x0b\x0c\x1b")
    return controls <= max(2, len(head) // 1000) if b"\0" in head else True


def _choose_document(ending: str) -> ReaderKind | Skipped:
    if is_pandoc_installed():
        return "document"
    return Skipped(f"{FORMATS[ending][1]}, which pip install 'securetag[documents]' reads")


def _detect_markup(path: Path, head: bytes) -> ReaderKind | Skipped | None:
    """Return the kind of a text with a syntax of its own; None for any other text."""
    ending, name = path.suffix.lower(), path.name.lower()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _SEARCH_INDEX.match(name) or b'"invertedIndex"' in head:
        return Skipped("a search index, which repeats the pages")
    if ending == ".sarif" or (start[:1] == b"{" and re.search(rb'"\$schema"[^,]*sarif', start[:4096])):
        return Skipped("a SARIF report: `securetag findings import` takes it")
    if ending in FORMATS:
        return _choose_document(ending)
    if ending == ".map" or name in _SETTINGS_NAMES or ending in _SETTINGS:
        return Skipped("settings, not prose")
    if ending == ".json" and (advisory := _detect_advisory(start)):
        return advisory
    if start[:1] in (b"{", b"[") and (ending in {".json", ".jsonl", ".ndjson"} or _looks_like_json(start)):
        return Skipped("settings, not prose") if _SCHEMA.search(start[:4096]) else "rows"
    if ending in {".csv", ".tsv", ".tab"}:
        return "rows"
    if ending == ".mdx":
        return Skipped("MDX, which mixes prose with components")
    if ending == ".svg":
        return Skipped("a picture (SVG)")
    if ending not in _MARKDOWN and start[:1] == b"<" and _HTML_TAG.search(start[:4096]):
        return "html"
    if _XML_START.match(start) and ending not in _MARKDOWN | {".txt"}:
        raise SourceError("XML, of which only known publications have a reader")
    return None


def _detect_advisory(start: bytes) -> ReaderKind | None:
    """Return the format of a security advisory in JSON; None for any other JSON."""
    return next((kind for kind, pattern in _ADVISORY_FORMATS if pattern.search(start)), None)


def _looks_like_json(start: bytes) -> bool:
    """Whether a text is more than a bracket that prose may begin with: `{"`, `[{`, `[1`."""
    return re.match(rb"\{\s*(?:\"|\})|\[\s*(?:[\[{\"\d]|\])", start) is not None


def _detect_text(path: Path, head: bytes) -> ReaderKind | Skipped:
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = head.decode(encoding, errors="replace")
    ending = path.suffix.lower()
    if is_license_name(path.stem if ending in _PROSE else path.name):
        return Skipped("a license text")
    if text.lstrip("\ufeff \t\r\n").startswith("-----BEGIN "):
        return Skipped("a key, a certificate or a signature")
    if ending not in _PROSE or not ending:
        language = _name_language(path.name, text) or ("a script" if text.startswith("#!") else "")
        if language:
            return Skipped(f"source code ({language})")
    if is_license_text(text):
        return Skipped("a license text")
    if ending in _MARKDOWN:
        return "text"
    if ending in _RST:
        return "rst"
    if measure_prose_share(text) < MIN_PROSE_SHARE:
        return Skipped("no prose: code, data or a list")
    is_rst = len(_RST_MARK.findall(text)) >= 3 and "\n#" not in text and "```" not in text
    return "rst" if is_rst else "text"


def _name_language(name: str, text: str) -> str:
    """Return the language that a file's name tells, as Pygments calls it; empty where it tells none.

    The text decides between languages with the same ending.
    """
    from pygments.lexers import find_lexer_class_for_filename

    lexer = find_lexer_class_for_filename(name, text)
    return str(lexer.name) if lexer and lexer.name != "Text only" else ""
