"""Take a process's network, its right to write anywhere but in one folder, and its sight of secrets (Linux).

`isolate` is called between `fork` and a child program, in a process of one thread. It makes namespaces of the
process's own: a user namespace in which it is nobody without capabilities, a network with no interface, and
a view of the file system that can only be read, with an empty /tmp, /var/tmp and /dev/shm. Where the kernel
or a container forbids that, the child has its limits alone; `probe` says which it is.
"""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

#: <linux/sched.h>, <linux/mount.h>, and the number of mount_setattr, which all architectures share.
_NEWUSER, _NEWNET, _NEWNS, _NEWIPC = 0x10000000, 0x40000000, 0x00020000, 0x08000000
_BIND, _REC, _NOSUID, _NODEV = 4096, 16384, 2, 4
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY = 442, -100, 0x8000, 1
#: The user and group that the process sees itself as.
_NOBODY = 65534
#: Folders of its own, empty but for what it needs of them; and those that are only empty: sockets of services
#: and the secrets of containers are in /run.
_PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")
_EMPTIED = (*_PRIVATE, "/run")
#: Seconds that the probe may take.
_PROBE_S = 20.0


def isolate(
    writable: Sequence[str],
    needed: Iterable[str],
    hidden: Iterable[str] = (),
    *,
    has_network: bool = False,
) -> None:
    """Isolate this process and what it starts. Raises OSError where the kernel refuses.

    `writable`: folders that stay writable. `needed`: files and folders that stay readable where they lie in a
    folder that is emptied. The current folder is among them. `hidden`: files and folders that are empty for
    it, beside those of `_EMPTIED`.
    """
    folder = os.getcwd()
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_NEWUSER | _NEWNS | _NEWIPC | (0 if has_network else _NEWNET)), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{_NOBODY} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{_NOBODY} {group} 1", encoding="ascii")
    kept = {path: os.open(path, os.O_PATH) for path in _outermost([*writable, folder, *needed])}
    emptied = _outermost([*_EMPTIED, *map(os.path.realpath, hidden)])
    # Outer ones first; what is both needed and hidden is seen.
    for path in sorted([*emptied, *kept], key=len):
        if path in emptied:
            _empty(libc, path)
        if path in kept and (path in writable or _is_below_any(path, emptied)):
            _make_place(path, is_folder=os.path.isdir(f"/proc/self/fd/{kept[path]}"))
            _mount(libc, f"/proc/self/fd/{kept[path]}", path, None, _BIND | _REC, None)
    for descriptor in kept.values():
        os.close(descriptor)
    _set_read_only(libc, "/", True)
    for path in writable:
        _set_read_only(libc, path, False)
    for path in filter(os.path.isdir, _PRIVATE):
        # Not what is mounted below it, which it only reads.
        _set_read_only(libc, path, False, recursive=False)
    os.chdir(folder)


def limit_processes(most: int) -> None:
    """Let this isolated process and what it starts be `most` processes and threads at once.

    The kernel counts those of the user in our user namespace, so no other's. It doesn't count those of the
    machine's root: see `has_process_limit`. Raises OSError, ValueError.
    """
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def has_process_limit() -> bool:
    """Whether `limit_processes` binds here: where children can be isolated and this process isn't root."""
    mapping = Path("/proc/self/uid_map")
    if not mapping.exists() or probe():
        return False
    inside, outside, _ = map(int, mapping.read_text(encoding="ascii").split()[:3])
    return os.geteuid() - inside + outside != 0


def is_isolated() -> bool:
    """Return whether this process is one that `isolate` made nobody."""
    try:
        inside = Path("/proc/self/uid_map").read_text(encoding="ascii").split()[:1]
    except OSError:
        return False
    return inside == [str(_NOBODY)]


@functools.cache
def probe() -> str:
    """Return why children can't be isolated here; empty where they can. Tries it once."""
    if sys.platform != "linux":
        return f"there are no namespaces on {sys.platform}"
    # Here, since every isolated child pays for what this module imports.
    import subprocess

    command = [sys.executable, "-I", "-m", "securetag.system.isolation"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"the attempt failed: {error}"
    return done.stdout.strip()


def _outermost(paths: Iterable[str]) -> list[str]:
    """Existing paths, absolute, outer ones first, so that none hides another one."""
    return sorted({os.path.abspath(path) for path in paths if os.path.exists(path)}, key=len)


def _is_below_any(path: str, folders: Iterable[str]) -> bool:
    places = {path, os.path.realpath(path)}
    return any(place == folder or place.startswith(f"{folder}/") for place in places for folder in folders)


def _empty(libc: ctypes.CDLL, path: str) -> None:
    """Mount an empty folder or file over `path`, where it is still seen."""
    if os.path.isdir(path):
        _mount(libc, "tmpfs", path, "tmpfs", _NOSUID | _NODEV, "size=256m,mode=1777")
    elif os.path.exists(path):
        _mount(libc, "/dev/null", path, None, _BIND, None)


def _make_place(path: str, *, is_folder: bool) -> None:
    """Make what something is mounted on, where it isn't there."""
    if os.path.exists(path):
        return
    if is_folder:
        os.makedirs(path)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _mount(
    libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str | None
) -> None:
    arguments = [None if text is None else text.encode() for text in (source, target, kind)]
    result = libc.mount(*arguments, ctypes.c_ulong(flags), None if data is None else data.encode())
    _check(result, f"mount {target}")


def _set_read_only(libc: ctypes.CDLL, path: str, is_read_only: bool, *, recursive: bool = True) -> None:
    """Say of a mount, and of all below it where `recursive`, whether it can be written."""
    attributes = struct.pack(
        "QQQQ", _ATTR_RDONLY if is_read_only else 0, 0 if is_read_only else _ATTR_RDONLY, 0, 0
    )
    flags = _AT_RECURSIVE if recursive else 0
    result = libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, len(attributes))
    _check(result, f"mount_setattr {path}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _try() -> str:
    """Isolate this process; return what isn't as it should be."""
    import errno
    import socket

    try:
        isolate([], [])
    except OSError as error:
        return str(error.strerror)
    try:
        os.close(os.open("/securetag-probe", os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        if error.errno != errno.EROFS:
            return f"the file system is {error.strerror}, not read-only"
    else:
        return "the file system can be written"
    interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
    return f"there is a network: {', '.join(interfaces)}" if interfaces else ""


if __name__ == "__main__":
    print(_try())
