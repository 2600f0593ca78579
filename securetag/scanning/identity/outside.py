"""The only caller of a function, where it is in another file of the project.

A function that moves to another file leaves its caller behind, and with it guards and sources that a verdict
relied on. Here they are read where they stayed, so that a verdict holds if they are as they were.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from securetag.scanning.identity.describe import CodeFile, Described
from securetag.scanning.languages import SCANNED_SUFFIXES, language_of

#: Bytes of a file that is searched for names.
MAX_BYTES = 1_000_000
_WORD = re.compile(rb"[\w$]+")


@dataclass(frozen=True)
class DescribedPlace:
    """A place in a file of the project, as its own file shows it."""

    path: str
    start: int
    end: int
    file: CodeFile
    described: Described


def read_files(project: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the project's files in languages with a syntax tree."""
    for folder, _, names in os.walk(project):
        for name in names:
            if language_of(name) not in SCANNED_SUFFIXES:
                continue
            file = os.path.join(folder, name)
            try:
                status = os.lstat(file)
                if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
                    yield Path(file).relative_to(project).as_posix(), Path(file).read_bytes()
            except OSError:
                continue


def follow_outside(places: Sequence[DescribedPlace], files: Iterable[tuple[str, bytes]]) -> list[Described]:
    """Return what describes each place, with `outside_digest` where another file has the only caller.

    A name that more than one other file mentions is left alone: any of them may call the function.
    """
    names = {place.described.uncalled.encode() for place in places} - {b""}
    mentions: dict[bytes, list[tuple[str, bytes]]] = defaultdict(list)
    for path, content in files if names else ():
        for name in names.intersection(_WORD.findall(content)):
            mentions[name].append((path, content))
    code_files: dict[str, CodeFile] = {}
    followed = []
    for place in places:
        described = place.described
        others = [item for item in mentions[described.uncalled.encode()] if item[0] != place.path]
        if described.uncalled and len(others) == 1:
            path, content = others[0]
            other = code_files.setdefault(path, CodeFile(content, language_of(path)))
            digest = place.file.digest_called_from(other, path, place.start, place.end)
            identity = msgspec.structs.replace(described.identity, outside_digest=digest)
            described = replace(described, identity=identity)
        followed.append(described)
    return followed
