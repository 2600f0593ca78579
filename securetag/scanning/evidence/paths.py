"""What a file is for, by its path and its first lines: nothing is hidden for it, but ranked lower."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from securetag.records import PathClass

#: Bytes of a file that are read for a generator's mark.
HEAD_BYTES = 2_048
#: Lines in which a generator says so; further down it is a text about something else.
HEAD_LINES = 12

_FOLDERS: dict[PathClass, frozenset[str]] = {
    "vendored": frozenset({"_vendor", "externals", "third-party", "third_party", "thirdparty"})
    | {"vendor", "vendored", "vendors", "bower_components", "node_modules", "site-packages"},
    "generated": frozenset({"__generated__", "generated", "gen-src", "dist", "build"}),
    "test": frozenset({"test", "tests", "testing", "__tests__", "__mocks__"})
    | {"spec", "specs", "e2e", "testdata", "fixtures"},
    "example": frozenset({"example", "examples", "sample", "samples", "demo", "demos"})
    | {"doc", "docs", "tutorial", "tutorials", "benchmark", "benchmarks"},
}
_NAMES: dict[PathClass, re.Pattern[str]] = {
    "vendored": re.compile(
        r"(?:jquery|bootstrap|lodash|underscore|angular|react|vue|d3|moment)(?:[.-]\d[\w.-]*)?(?:\.min)?\.js"
    ),
    "generated": re.compile(r".+(?:_pb2(?:_grpc)?\.pyi?|\.min\.js|\.bundle\.js|\.generated\.\w+|_pb\.js)"),
    "test": re.compile(r"(?:test_.+|.+_tests?|conftest|tests)\.pyi?|.+[.-](?:test|spec|e2e)\.[cm]?[jt]sx?"),
}
#: In this order: a test of a vendored library is vendored.
_ORDER: tuple[PathClass, ...] = ("vendored", "generated", "test", "example")
_GENERATED = re.compile(
    r"@generated\b|\bauto-?generated\b|\bautomatically generated\b"
    r"|\bgenerated (?:automatically )?(?:by|from|with)\b|\bdo not (?:edit|modify)\b",
    re.IGNORECASE,
)


class PathClasses:
    """The classes of one project's files. `globs` are tried first; a `*` of theirs matches `/` too."""

    def __init__(self, project: Path, globs: Mapping[PathClass, Sequence[str]] | None = None) -> None:
        self._project = project
        self._globs = globs or {}
        self._classes: dict[str, PathClass] = {}

    def get(self, path: str) -> PathClass:
        """Return the class of the file at `path`, relative to the project with `/` as separator."""
        if path not in self._classes:
            self._classes[path] = self._classify(path)
        return self._classes[path]

    def _classify(self, path: str) -> PathClass:
        for kind, globs in self._globs.items():
            if any(fnmatchcase(path, glob) for glob in globs):
                return kind
        by_path = classify_path(path)
        if by_path != "vendored" and self._is_generated(path):
            return "generated"
        return by_path

    def _is_generated(self, path: str) -> bool:
        try:
            with (self._project / path).open("rb") as file:
                head = file.read(HEAD_BYTES).decode("utf-8", errors="replace")
        except (OSError, ValueError):
            return False
        return bool(_GENERATED.search("\n".join(head.split("\n")[:HEAD_LINES])))


def classify_path(path: str) -> PathClass:
    """Return the class that a path says by its folders and its name.

    >>> classify_path("shop/tests/test_cart.py")
    'test'
    """
    parts = PurePosixPath(path.lower()).parts
    if not parts:
        return "source"
    folders = set(parts[:-1])
    for kind in _ORDER:
        pattern = _NAMES.get(kind)
        if folders & _FOLDERS[kind] or (pattern is not None and pattern.fullmatch(parts[-1])):
            return kind
    return "source"
