"""Choose the files of a project that the scanner reads, and cut them into batches.

A batch that ends well is kept, whatever happens to the next: a limit, a crash or a full disk costs the
batches that were not done, never those that were.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.extraction import (
    PROGRAM_BYTES,
    Extract,
    OtherLanguageError,
    extract,
    language_of_program,
)
from securetag.scanning.languages import EMBEDDED_IN, OTHER, language_of
from securetag.system.files import make_private_folder
from securetag.system.hashing import hash_bytes
from securetag.wire.queue import SkipReason

#: Bytes of source in one batch: starting Semgrep with all rules costs 0.5 CPU-seconds, a megabyte of
#: real Python and JavaScript 25 to 57, so that batches add about 2 %.
BATCH_BYTES = 1_000_000
#: Files of one batch; their names are arguments of one process, which Linux limits to 2 MB.
BATCH_FILES = 1_000
#: Bytes above which a file is looked at before it is scanned: most files of that size are a bundle or data.
LARGE_BYTES = 1_000_000
#: Bytes a line, on average, that code written by people doesn't reach.
MAX_LINE_BYTES = 400
#: Bytes that Linux allows for the name of a file.
MAX_NAME_BYTES = 255
_MINIFIED = ".min.js"


@dataclass(frozen=True)
class Target:
    """A file to scan."""

    #: Relative to the project, `/`-separated.
    path: str
    bytes: int
    language: str
    #: What Semgrep gets: the file, a copy of the code inside it, or both.
    reads: tuple[str, ...]
    #: Of the rules that read it.
    languages: frozenset[str]
    #: Merged rules need it.
    is_utf8: bool = True


@dataclass(frozen=True)
class Targets:
    """The files of a project that are scanned."""

    #: Those in UTF-8 first, then smallest first.
    files: list[Target]
    #: Path of a generated copy → the code that is in it.
    extracts: dict[str, Extract]


class TargetFinder:
    """Looks for the files of a project in one of `languages`; `counter` gets all the others."""

    def __init__(
        self,
        root: Path,
        languages: Collection[str],
        counter: CoverageCounter,
        *,
        copies: Path,
        max_bytes: int,
    ) -> None:
        """Copies go to `copies`, a folder outside the project; no file over `max_bytes` is scanned."""
        self._root, self._counter, self._copies, self._max_bytes = root, counter, copies, max_bytes
        self._read = frozenset(languages)
        self._holders = frozenset(name for code in languages for name in EMBEDDED_IN.get(code, ()))
        self._extracts: dict[str, Extract] = {}

    def find(self) -> Targets:
        """Return the files to scan: those in UTF-8 before others, and smallest first.

        Smallest first, because the few huge files of a project are generated as a rule, and should a limit
        end the scan, they are what is missing.
        """
        candidates = (self._target(path, size) for path, size in _files(self._root))
        targets = [target for target in candidates if target is not None]
        return Targets(sorted(targets, key=_order), self._extracts)

    def _target(self, path: str, size: int) -> Target | None:
        language = self._language(path)
        if language not in self._read | self._holders:
            self._counter.add_unsupported(language)
            return None
        if path.lower().endswith(_MINIFIED) or (size > LARGE_BYTES and self._is_minified(path, size)):
            self._counter.add_skipped(path, SkipReason.MINIFIED, size)
            return None
        if size > self._max_bytes:
            self._counter.add_skipped(path, SkipReason.TOO_LARGE, size)
            return None
        try:
            content = (self._root / path).read_bytes()
            inside = extract(path, language, content)
        except OtherLanguageError as error:
            self._counter.add_unsupported(f"notebook ({error.language})")
            return None
        except ValueError:
            self._counter.add_skipped(path, SkipReason.PARSE_ERROR, size)
            return None
        # A template is read as text and its scripts as code; a program without an ending by its copy alone.
        reads, languages = [], {language}
        if language in self._read and (inside is None or inside.language != language):
            reads.append(path)
        if inside is not None and inside.language in self._read:
            reads.append(self._write_copy(inside))
            languages.add(inside.language)
        if not reads:
            self._counter.add_unsupported(language)
            return None
        return Target(path, size, language, tuple(reads), frozenset(languages), _is_utf8(content))

    def _language(self, path: str) -> str:
        language = language_of(path)
        if language == OTHER and "." not in PurePosixPath(path).name:
            with (self._root / path).open("rb") as file:
                return language_of_program(file.read(PROGRAM_BYTES)) or language
        return language

    def _is_minified(self, path: str, size: int) -> bool:
        return size > MAX_LINE_BYTES * count_lines(self._root / path)

    def _write_copy(self, inside: Extract) -> str:
        """Return the path of the copy, whose folders are those of the file: rules may name them."""
        name = f"{PurePosixPath(inside.path).name}{inside.suffix}"
        if len(name.encode()) > MAX_NAME_BYTES:
            name = f"{hash_bytes(name.encode())}{inside.suffix}"
        copy = self._copies / PurePosixPath(inside.path).parent / name
        make_private_folder(copy.parent)
        copy.write_bytes(inside.content)
        # The bytes are read again where there is a finding in them.
        self._extracts[str(copy)] = replace(inside, content=b"")
        return str(copy)


def cut_into_batches(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Cut `targets` into runs of at most BATCH_BYTES and BATCH_FILES, each of UTF-8 files or of others."""
    batch: list[Target] = []
    size = 0
    for target in targets:
        is_full = size + target.bytes > BATCH_BYTES or len(batch) == BATCH_FILES
        if batch and (is_full or batch[0].is_utf8 != target.is_utf8):
            yield batch
            batch, size = [], 0
        batch.append(target)
        size += target.bytes
    if batch:
        yield batch


def _order(target: Target) -> tuple[bool, int, str]:
    return not target.is_utf8, target.bytes, target.path


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def count_lines(path: Path) -> int:
    """Return the lines of a file, an unfinished last one included."""
    content = path.read_bytes()
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """Path and size of every regular file, in a stable order. Links are not followed."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(root).as_posix(), path.stat().st_size
