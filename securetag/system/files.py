"""Replace a file or create a folder as a whole: a reader, or a crash, never sees half of it.

Durability is stated by the caller. `durable=True` flushes the content and the folder entry to disk before
the call returns, so that the new file survives a power cut. `durable=False` is for what can be made again:
after a power cut the old or the new file is there, but the new one may be empty on some file systems.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from securetag.system.locks import FileLock, try_lock

#: Mode of a file that only its owner may read: secrets and customers' code.
PRIVATE = 0o600
#: Prefix of the hidden folders in which a folder is prepared.
DRAFT_PREFIX = ".draft-"
#: errno of a rename onto a folder that isn't empty.
_TARGET_EXISTS = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def write_atomic(path: Path, content: bytes | str, *, durable: bool = True, mode: int | None = None) -> Path:
    """Write `content` (text as UTF-8) to `path` as a whole and return `path`.

    See `replace_file` for the arguments and errors.
    """
    with replace_file(path, durable=durable, mode=mode) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, value: object, *, durable: bool = True, mode: int | None = None) -> Path:
    """Write builtins as indented JSON with a final newline; see `write_atomic`. Raises TypeError, OSError."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return write_atomic(path, text, durable=durable, mode=mode)


@contextmanager
def replace_file(path: Path, *, durable: bool = True, mode: int | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; it replaces `path` when the block ends.

    The folder is made where it is missing. When the block raises, `path` stays as it was and the
    temporary file is removed. `mode` is the new file's permission; by default it is what the process's
    umask gives. The block may replace the temporary file itself, as some libraries do.

    Raises OSError where the folder can't be written or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    # Made by the kernel with the umask applied, so that a file without `mode` is like any other.
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else PRIVATE))
    try:
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        move_file(temporary, path, durable=durable)
    finally:
        temporary.unlink(missing_ok=True)


def move_file(source: Path, target: Path, *, durable: bool = True) -> Path:
    """Rename a finished file to `target`, which it replaces, and return `target`.

    Both are on one file system. See `replace_file` for `durable`. Raises OSError.
    """
    if durable:
        _flush(source)
    source.replace(target)
    if durable:
        _flush(target.parent)
    return target


class Draft:
    """A folder under preparation. Made by `draft_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def commit(self, target: Path, *, read_only: bool = False, mode: int = 0o755) -> bool:
        """Flush the folder to disk and rename it to `target`, with `mode`; return whether it is there now.

        False means that the folder `target` existed before; it is left as it is. `target` must be on the
        same file system. `read_only` takes the write permission from the files. Raises OSError, for
        example where `target` is a file.
        """
        for file in sorted(path for path in self.path.rglob("*") if path.is_file() and not path.is_symlink()):
            _flush(file)
            if read_only:
                file.chmod(0o444)
        self.path.chmod(mode)
        _flush(self.path)
        try:
            self.path.rename(target)
        except OSError as error:
            if error.errno in _TARGET_EXISTS:
                return False
            raise
        _flush(target.parent)
        return True


def make_private_folder(folder: Path) -> None:
    """Make a folder that its owner alone may enter; one that exists and is ours is closed to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_mode & 0o077 and about.st_uid == os.geteuid():
        folder.chmod(0o700)


@contextmanager
def draft_folder(parent: Path) -> Iterator[Draft]:
    """Yield a new empty folder in `parent`; what was not committed is removed at the end.

    A draft is a hidden folder that its process holds a lock on. The kernel releases the lock when the
    process ends, however it ends, so a draft whose lock is free is garbage: the next draft in the same
    parent removes it. This also holds for containers that share a disk, where process ids mean nothing.
    """
    parent.mkdir(parents=True, exist_ok=True)
    # Nobody may sweep a draft between its creation and its lock.
    with FileLock(parent):
        sweep_drafts(parent)
        folder = Path(tempfile.mkdtemp(prefix=DRAFT_PREFIX, dir=parent))
        lock = try_lock(folder, create=False)
    try:
        yield Draft(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.release()


def sweep_drafts(parent: Path) -> None:
    """Remove the drafts in `parent` whose processes have ended."""
    for folder in parent.glob(f"{DRAFT_PREFIX}*"):
        try:
            lock = try_lock(folder, create=False)
        except OSError:
            continue  # committed or removed meanwhile, or another user's
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
