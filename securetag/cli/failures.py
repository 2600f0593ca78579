"""Explain errors that no code of ours raised on purpose: of a folder, a disk or a package that is missing.

`reported` asks here, so no command needs to check its folders and packages beforehand.
"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from securetag.system.extras import explain_package

_FULL = "Free some space{place}."
_FORBIDDEN = "Let this user write there, or name another folder{place}."
_PATH = "Check the path{place}."
#: Error number → what happened to a path, and what to do; `{place}` becomes the setting that names it.
_HAPPENED = {
    errno.ENOSPC: ("no space is left on the disk", _FULL),
    errno.EDQUOT: ("this user's share of the disk is used up", _FULL),
    errno.EFBIG: ("the file would be larger than is allowed", "Raise the limit (`ulimit -f`){place}."),
    errno.EACCES: ("permission denied", _FORBIDDEN),
    errno.EPERM: ("operation not permitted", _FORBIDDEN),
    errno.EROFS: ("the disk is read-only", _FORBIDDEN),
    errno.ENOENT: ("there is no such file or folder", _PATH),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", _PATH),
    errno.EISDIR: ("this is a folder, not a file", _PATH),
    errno.EEXIST: ("a file is in the way", _PATH),
    errno.ENOTEMPTY: ("the folder is not empty", _PATH),
    errno.ENAMETOOLONG: ("the name is too long", _PATH),
    errno.ELOOP: ("its links lead in a circle", _PATH),
    errno.EIO: ("the disk reports an error", "Check the disk{place}."),
    errno.EMFILE: ("too many files are open", "Raise the limit (`ulimit -n`)."),
}


#: Beginning of SQLite's message → the error number of the same fault. It names no file.
_SQLITE = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EACCES,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
}


def explain(error: Exception) -> tuple[str, str] | None:
    """Return what happened and what to do next, or None where only a traceback helps."""
    if isinstance(error, ImportError):
        return explain_package(error)
    if isinstance(error, OSError):
        # A copy or a move names two paths; the second is where it goes.
        return _explain_file(error.errno, error.filename2 or error.filename)
    cause = getattr(error, "orig", error)  # SQLAlchemy, on which Dagster's storage rests, wraps SQLite's
    if isinstance(cause, sqlite3.OperationalError):
        number = next((number for text, number in _SQLITE.items() if str(cause).startswith(text)), None)
        return _explain_file(number, None)
    return None


def _explain_file(number: int | None, path: object) -> tuple[str, str] | None:
    if number not in _HAPPENED:
        return None
    happened, advice = _HAPPENED[number]
    name = "" if path is None else path.decode(errors="replace") if isinstance(path, bytes) else str(path)
    return f"{name}: {happened}" if name else happened, advice.format(place=_place(name))


def _place(path: str) -> str:
    """Return which setting names the folder that `path` lies in; both folders where that isn't clear."""
    from securetag.errors import SecuretagError
    from securetag.settings import get_settings

    try:
        settings = get_settings()
    except SecuretagError:
        return ""
    folders = {"SECURETAG_HOME": settings.home, "SECURETAG_DATA": settings.data}
    if not path:
        return f"; Securetag writes to {settings.home} (SECURETAG_HOME) and {settings.data} (SECURETAG_DATA)"
    absolute = Path(path).absolute()
    for variable, folder in folders.items():
        if absolute.is_relative_to(folder) or folder.is_relative_to(absolute):
            return f"; {variable} is {folder}"
    return ""
