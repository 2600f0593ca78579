"""Choose the files of a project that the scanner reads, and cut them into batches.

A batch that ends well is kept, whatever happens to the next: a limit, a crash or a full disk costs the
batches that were not done, never those that were.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.languages import language_of
from securetag.wire.queue import SkipReason

#: Bytes of one file; a larger one is data or generated, and costs Semgrep gigabytes of memory.
MAX_TARGET_BYTES = 1_000_000
#: Bytes of source in one batch: starting Semgrep with all rules costs 0.5 CPU-seconds, a megabyte of
#: real Python and JavaScript 25 to 57, so that batches add about 2 %.
BATCH_BYTES = 1_000_000
#: Files of one batch; their names are arguments of one process, which Linux limits to 2 MB.
BATCH_FILES = 1_000
_MINIFIED = ".min.js"


@dataclass(frozen=True)
class Target:
    """A file to scan."""

    #: Relative to the project, `/`-separated.
    path: str
    bytes: int
    language: str


def find_targets(root: Path, languages: Collection[str], counter: CoverageCounter) -> list[Target]:
    """Return the files in one of `languages`, smallest first; `counter` gets all the others.

    Smallest first, because the few huge files of a project are generated as a rule, and should a limit
    end the scan, they are what is missing.
    """
    targets: list[Target] = []
    for path, size in _files(root):
        language = language_of(path)
        if language not in languages:
            counter.add_unsupported(language)
        elif path.lower().endswith(_MINIFIED):
            counter.add_skipped(path, SkipReason.MINIFIED, size)
        elif size > MAX_TARGET_BYTES:
            counter.add_skipped(path, SkipReason.TOO_LARGE, size)
        else:
            targets.append(Target(path, size, language))
    return sorted(targets, key=lambda target: (target.bytes, target.path))


def cut_into_batches(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Cut `targets` into runs of at most BATCH_BYTES and BATCH_FILES."""
    batch: list[Target] = []
    size = 0
    for target in targets:
        if batch and (size + target.bytes > BATCH_BYTES or len(batch) == BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append(target)
        size += target.bytes
    if batch:
        yield batch


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
