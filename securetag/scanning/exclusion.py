"""Leave files out of a scan because somebody asked for it, and say which.

Patterns are those of `.gitignore`. They come from whoever starts the scan; those of a `.securetagignore` in
the tree count only where the project's settings allow it, so that no upload hides anything by itself.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from securetag.errors import InputError
from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.unpack import ArchiveSummary
from securetag.wire.api import LeftOutFile
from securetag.wire.queue import MAX_LISTED, Coverage, SkippedFile, SkipReason

IGNORE_FILE = ".securetagignore"
#: Bytes of an ignore file that are read.
MAX_IGNORE_BYTES = 100_000
#: Patterns of one scan.
MAX_PATTERNS = 500


@dataclass
class Exclusion:
    """Which paths are excluded, and by which pattern."""

    patterns: Sequence[str]
    #: Pattern → files that it has excluded.
    files: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        try:
            self._spec = GitIgnoreSpec.from_lines(self.patterns[:MAX_PATTERNS])
        except ValueError as error:
            raise InputError(
                f"an exclusion can't be read: {error}",
                hint="Write it as in a .gitignore: `docs/`, `*.min.js`.",
            ) from error

    def excludes(self, path: str) -> bool:
        """Is the file excluded? It is counted if so."""
        result = self._spec.check_file(path)
        if not result.include or result.index is None:
            return False
        self.files[self.patterns[result.index]] += 1
        return True


def read_ignore_file(root: Path) -> list[str]:
    """Return the patterns in a tree's `.securetagignore`; none where it has no such file."""
    path = root / IGNORE_FILE
    if not path.is_file() or path.is_symlink():
        return []
    text = path.read_bytes()[:MAX_IGNORE_BYTES].decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [line for line in lines if _is_pattern(line)]


def leave_out(
    root: Path,
    unpacked: ArchiveSummary,
    patterns: Sequence[str],
    not_uploaded: Mapping[SkipReason, int],
    named: Sequence[LeftOutFile] = (),
) -> Coverage:
    """Remove what `patterns` exclude from an unpacked project; return all that no scanner is going to see.

    `not_uploaded` counts what the client says that it left out, and `named` are some of it: nobody here saw
    these files.
    """
    counter, exclusion = CoverageCounter(), Exclusion(patterns)
    for file in unpacked.left_out:
        counter.add_skipped(file.path, file.reason, file.bytes)
    remove_excluded(root, exclusion, lambda path, size: counter.add_skipped(path, SkipReason.EXCLUDED, size))
    coverage = counter.coverage()
    reasons = Counter(coverage.skipped_by_reason)
    reasons.update({SkipReason.VERSION_CONTROL: unpacked.skipped} if unpacked.skipped else {})
    reasons.update(not_uploaded)
    sent = {file.path for file in coverage.skipped}
    skipped = [
        SkippedFile(path=file.path, reason=file.reason, bytes=file.bytes)
        for file in named
        if file.path not in sent
    ]
    excluded = {pattern: exclusion.files[pattern] for pattern in patterns}
    return coverage.model_copy(
        update={
            "skipped": [*skipped, *coverage.skipped][:MAX_LISTED],
            "skipped_by_reason": dict(reasons),
            "excluded": excluded,
        }
    )


def remove_excluded(root: Path, exclusion: Exclusion, on_file: Callable[[str, int], None]) -> None:
    """Delete the excluded files of an unpacked copy of a project; `on_file` gets path and bytes of each."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if exclusion.excludes(relative):
                on_file(relative, path.lstat().st_size)
                path.unlink()


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
