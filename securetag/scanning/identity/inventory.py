"""Which files and functions a project has, as digests: so that a finding stays where its code still is."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from securetag.scanning.identity.scopes import scopes
from securetag.scanning.languages import SCANNED_SUFFIXES, language_of

#: Digests that are sent; of a project with more, functions are left out.
MAX_DIGESTS = 100_000
#: Bytes of a file whose functions are listed.
MAX_BYTES = 1_000_000
#: The same of JavaScript whose callbacks are listed too, though nothing in it is flagged.
MAX_BYTES_OF_CALLBACKS = 100_000
_SIZE = 6
# Every repetition is bounded, so that a file of one long word costs no square of its length.
_PYTHON = re.compile(rb"^([ \t]{0,200})(?:async[ \t]+)?(?:def|class)[ \t]+(\w{1,200})", re.MULTILINE)
_PARAMETERS = rb"\([^()]{0,500}\)\s{0,20}(?::[^={]{0,200})?"
_JAVASCRIPT = re.compile(
    rb"(?<![\w$])(?:function\s{0,20}\*?\s{0,20}|class\s{1,20})([\w$]{1,200})"
    rb"|(?<![\w$])([\w$]{1,200})\s{0,20}[:=]\s{0,20}(?:async\s{0,20})?"
    rb"(?:function\b|" + _PARAMETERS + rb"=>|[\w$]{1,200}\s{0,20}=>)"
    rb"|^[ \t]{0,100}(?:(?:async|static|get|set|public|private|protected)\s{1,20}){0,3}([\w$]{1,200})\s{0,20}"
    + _PARAMETERS
    + rb"\{",
    re.MULTILINE,
)


def digest_name(path: str, name: str = "") -> bytes:
    """Return 48 bits of a digest of a file's path, or of the path and a function's name."""
    text = f"{path}\0{name}" if name else path
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_SIZE).digest()


#: Stands for "functions are listed", of the project and of a file whose nameless functions are too.
_LISTED = "\0*"
_COMPLETE = digest_name("", _LISTED)


class Inventory:
    """Digests of all files and functions; without any, nothing is known of either."""

    #: What says that functions are listed.
    MARKERS: ClassVar = frozenset({_COMPLETE})

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        self._digests = frozenset(digests)

    @classmethod
    def unpack(cls, text: str) -> Inventory:
        """Read what `pack` wrote. Raises ValueError."""
        data = base64.b64decode(text, validate=True)
        return cls(data[start : start + _SIZE] for start in range(0, len(data), _SIZE))

    def pack(self) -> str:
        """Return the digests as text, 8 characters each."""
        return base64.b64encode(b"".join(sorted(self._digests))).decode()

    @property
    def lists_functions(self) -> bool:
        """Does it list the project's functions? Then a name that it lacks is gone."""
        return _COMPLETE in self._digests

    def has_path(self, path: str) -> bool:
        """Is there a file of this path?"""
        return digest_name(path) in self._digests

    def has_scope(self, path: str, scope: str) -> bool:
        """Is there a function of this qualified name? True also where that can't be told."""
        if not self.has_path(path):
            return False
        if not self.lists_functions:
            return True
        if digest_name(path, _LISTED) in self._digests:
            return digest_name(path, scope) in self._digests
        # A callback has no name of its own: it is called after the call that it is an argument of.
        return scope.endswith(")") or digest_name(path, last_name(scope)) in self._digests


def last_name(scope: str) -> str:
    """Return a function's own name: of `Shop.search` it is `search`."""
    if not scope.endswith(")"):
        return scope.rsplit(".", 1)[-1]
    head, bracket, tail = scope.partition("(")
    return ".".join(head.split(".")[-2:]) + bracket + tail


def digests_of(path: str, content: bytes, *, nameless: bool) -> Iterator[bytes]:
    """Return the digests of a file and of its functions, of a large one's callbacks only with `nameless`."""
    yield digest_name(path)
    language = language_of(path)
    if language not in SCANNED_SUFFIXES or len(content) > MAX_BYTES:
        return
    if language == "python":
        names = {*_qualified_names(content), _LISTED}
    else:
        names = {
            name.decode("utf-8", "replace")
            for match in _JAVASCRIPT.findall(content)
            for name in match
            if name
        }
        if nameless or len(content) <= MAX_BYTES_OF_CALLBACKS:
            text = content.decode("utf-8", errors="replace")
            names |= {scope.name for scope in scopes(text, language)}
            names.add(_LISTED)
    yield from (digest_name(path, name) for name in names)


def _qualified_names(content: bytes) -> Iterator[str]:
    """The functions and classes of Python code, nested by their indentation."""
    around: list[tuple[int, str]] = []
    for blanks, name in _PYTHON.findall(content):
        indent = len(blanks.expandtabs(8))
        while around and around[-1][0] >= indent:
            around.pop()
        around.append((indent, name.decode("utf-8", "replace")))
        yield ".".join(name for _, name in around[-20:])


def take_inventory(project: Path, flagged: Iterable[str]) -> Inventory:
    """List a project's files and functions; of the `flagged` paths, which have findings, callbacks too."""
    with_findings = set(flagged)
    digests = set(Inventory.MARKERS)
    paths: list[str] = []
    for folder, _, names in os.walk(project):
        for name in names:
            file = Path(folder, name)
            path = file.relative_to(project).as_posix()
            paths.append(path)
            content = b""
            if language_of(path) in SCANNED_SUFFIXES and not file.is_symlink():
                try:
                    content = file.read_bytes() if file.stat().st_size <= MAX_BYTES else b""
                except OSError:
                    content = b""
            digests.update(digests_of(path, content, nameless=path in with_findings))
    if len(digests) <= MAX_DIGESTS:
        return Inventory(digests)
    return Inventory(digest_name(path) for path in paths[:MAX_DIGESTS])
