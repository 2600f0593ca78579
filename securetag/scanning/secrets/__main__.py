"""`python -m securetag.scanning.secrets [LANG]`: write the secrets of the working directory as lines of JSON.

No value is written, only where it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from securetag.scanning.evidence.paths import classify_path
from securetag.scanning.secrets.detect import find_secrets
from securetag.wire.queue import SkipReason

#: Bytes of a file; a larger one is data.
MAX_BYTES = 2_000_000
#: Hashes, compressed texts and drawings, of which every line looks like a secret.
_SKIPPED_SUFFIXES = frozenset(
    {".lock", ".map", ".svg", ".sum", ".po", ".pot", ".min.js", ".css", ".csv", ".tsv"}
)
_SKIPPED_NAMES = frozenset({"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "composer.lock"})


class Line(msgspec.Struct, frozen=True):
    """One secret, a skipped file, or with `files` the number of files read, which ends the report."""

    path: str = ""
    line: int = 0
    end_line: int = 0
    kind: str = ""
    confidence: str = "low"
    files: int = -1
    #: Why the file was skipped, and its bytes.
    skipped: SkipReason | None = None
    bytes: int = 0


def scan_folder(root: Path) -> Iterator[Line]:
    """Yield the secrets of all texts below a folder, and the texts that are left out."""
    files = 0
    for path in _candidates(root):
        try:
            with (root / path).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError:
            yield Line(path, skipped=SkipReason.UNREADABLE)
            continue
        if b"\0" in content[:8192]:
            continue
        if len(content) > MAX_BYTES:
            yield Line(path, skipped=SkipReason.TOO_LARGE, bytes=(root / path).stat().st_size)
            continue
        files += 1
        yield from scan_text(content.decode("utf-8", errors="replace"), path)
    yield Line(files=files)


def scan_text(text: str, path: str) -> Iterator[Line]:
    """Yield the secrets of one file's text. In code that no product runs they are often made up."""
    is_product = classify_path(path) == "source"
    for secret in find_secrets(text, path):
        confidence = secret.confidence
        if not is_product and secret.kind != "provider-token":
            confidence = "low"
        yield Line(path, secret.line, secret.end_line, secret.kind, confidence)


def _candidates(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            lower = name.lower()
            if lower in _SKIPPED_NAMES or lower.endswith(tuple(_SKIPPED_SUFFIXES)):
                continue
            if path.is_file() and not path.is_symlink():
                yield PurePosixPath(path.relative_to(root)).as_posix()


if __name__ == "__main__":
    for entry in scan_folder(Path()):
        sys.stdout.buffer.write(msgspec.json.encode(entry) + b"\n")
