"""Take a process's network, its right to write anywhere but in one folder, and its sight of secrets (Linux).

`isolate` is called between `fork` and a child program, in a process of one thread. It makes namespaces of the
process's own: a user namespace in which it is nobody without capabilities, a network with no interface, and
a view of the file system that can only be read, with an empty /tmp, /var/tmp and /dev/shm. Where the kernel
or a container forbids that, the child has its limits alone; `probe` says which it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import stat
import struct
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from securetag.system.launch import set_process_option

#: <linux/sched.h>, <linux/mount.h>, and the numbers of mount_setattr and open_tree, which all architectures
#: share.
_NEWUSER, _NEWNET, _NEWNS, _NEWIPC = 0x10000000, 0x40000000, 0x00020000, 0x08000000
_BIND, _REC, _NOSUID, _NODEV, _PRIVATE_MOUNTS = 4096, 16384, 2, 4, 1 << 18
_OPEN_TREE, _TREE_CLONE = 428, 1
_PR_SET_DUMPABLE = 4
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY = 442, -100, 0x8000, 1
#: The user and group that the process sees itself as.
_NOBODY = 65534
#: Users and groups of tools where this process is root, by the tool's PID: numbers that no system gives out
#: (https://systemd.io/UIDS-GIDS), so that no two tools are the same user.
TOOL_UIDS = 0x70000000
_MAX_PID = 1 << 22
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
    ours: Iterable[str] = (),
) -> None:
    """Isolate this process and what it starts. Raises OSError where the kernel refuses.

    `writable`: folders that stay writable. `needed`: files and folders that stay readable where they lie in a
    folder that is emptied. The current folder is among them. `hidden`: files and folders that are empty for
    it, beside those of `_EMPTIED`. Where this process is root, the tool becomes a user of its own if what it
    needs can be given to that user without touching files but those in folders of `ours`, or what is
    `writable` in temporary ones: what is writable becomes its own; the rest that others can't read is opened
    to them, if a private folder above keeps them out.
    """
    folder = os.getcwd()
    kept_paths = _outermost([*writable, folder, *needed])
    emptied = {*_outermost([*_EMPTIED, *map(os.path.realpath, hidden)])}
    libc = ctypes.CDLL(None, use_errno=True)
    ours = [*map(os.path.realpath, ours)]
    if _may_change_user() and _is_for_another(writable, kept_paths, ours):
        with contextlib.suppress(PermissionError):
            _check(libc.unshare(_NEWNS), "unshare")
            _check(libc.mount(None, b"/", None, ctypes.c_ulong(_REC | _PRIVATE_MOUNTS), None), "mount /")
            # Before any file is changed: a view of /proc that can still be written, by its descriptor alone.
            proc = libc.syscall(_OPEN_TREE, _AT_FDCWD, b"/proc", _TREE_CLONE | os.O_CLOEXEC)
            _check(min(proc, 0), "open_tree /proc")
            # What only root may enter is emptied too: what is needed of it is then reached through that.
            emptied |= {
                closed
                for path in kept_paths
                for place in {path, os.path.realpath(path)}
                if (closed := _find_closed(place))
            }
            _open_to_read(
                path
                for path in kept_paths
                if path not in writable and _is_guarded(os.path.realpath(path), ours)
            )
            user = TOOL_UIDS + os.getpid()
            _give_away(writable, user)
            _mount_view(libc, writable, kept_paths, emptied)
            _become(user)
            # What is mounted belongs to the machine, so that no right over it is left.
            _enter_user_namespace(libc, _NEWIPC | _NEWNET, proc)
            os.chdir(folder)
            return
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _enter_user_namespace(libc, _NEWNS | _NEWIPC | _NEWNET, proc)
    _mount_view(libc, writable, kept_paths, emptied)
    os.chdir(folder)


def _enter_user_namespace(libc: ctypes.CDLL, others: int, proc: int) -> None:
    """Become nobody in a user namespace, with further namespaces; `proc` is closed."""
    user, group = os.geteuid(), os.getegid()
    _check(libc.unshare(_NEWUSER | others), "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{_NOBODY} {user} 1", "gid_map": f"{_NOBODY} {group} 1"}
    for name, text in maps.items():
        descriptor = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    os.close(proc)


def _mount_view(
    libc: ctypes.CDLL, writable: Sequence[str], kept_paths: Iterable[str], emptied: Collection[str]
) -> None:
    """Make the file system read-only but for `writable`, and `emptied` empty but for `kept_paths`."""
    umask = os.umask(0o022)
    kept: dict[str, int] = {}
    for path in kept_paths:
        # Where a link leads into what is emptied, that place is needed, and the link stays.
        place = path if _is_below_any(path, emptied) else os.path.realpath(path)
        if (path in writable or _is_below_any(place, emptied)) and place not in kept:
            kept[place] = os.open(path, os.O_PATH)
    # Outer ones first; what is both needed and hidden is seen.
    for path in sorted({*emptied, *kept}, key=len):
        if path in emptied:
            _empty(libc, path)
        if path in kept:
            _make_place(path, is_folder=os.path.isdir(f"/proc/self/fd/{kept[path]}"))
            _mount(libc, f"/proc/self/fd/{kept[path]}", path, None, _BIND | _REC, None)
    for descriptor in kept.values():
        os.close(descriptor)
    os.umask(umask)
    _set_read_only(libc, "/", True)
    for path in writable:
        _set_read_only(libc, path, False)
    for path in filter(os.path.isdir, _PRIVATE):
        # Not what is mounted below it, which it only reads.
        _set_read_only(libc, path, False, recursive=False)


def _may_change_user() -> bool:
    """Whether this process is root where every user's number means something."""
    last = TOOL_UIDS + _MAX_PID
    return os.geteuid() == 0 and all(
        any(first <= TOOL_UIDS and last < first + count for first, _, count in _read_map(name))
        for name in ("uid_map", "gid_map")
    )


def _read_map(name: str) -> list[tuple[int, int, int]]:
    """The ranges of users or groups of our user namespace: first inside, first outside, how many."""
    ranges = []
    for line in Path(f"/proc/self/{name}").read_text(encoding="ascii").splitlines():
        inside, outside, count = map(int, line.split())
        ranges.append((inside, outside, count))
    return ranges


def _is_for_another(writable: Sequence[str], needed: Iterable[str], ours: Iterable[str]) -> bool:
    """Whether another user can have what a tool needs, while nobody's files but ours are touched."""
    temporary = [*ours, *map(os.path.realpath, _PRIVATE)]
    return all(_is_below_any(os.path.realpath(path), temporary) for path in writable) and all(
        path in writable or _is_open(os.stat(path)) or _is_guarded(os.path.realpath(path), ours)
        for path in needed
    )


def _is_guarded(path: str, ours: Iterable[str]) -> bool:
    """Whether a path is in a folder of ours, below one that others can't enter."""
    return _is_below_any(path, ours) and bool(_find_closed(path))


def _is_open(status: os.stat_result) -> bool:
    wanted = 0o005 if stat.S_ISDIR(status.st_mode) else 0o004
    return status.st_mode & wanted == wanted


def _become(user: int) -> None:
    """Become a user and group of this number for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    # Else the process may not write its own maps.
    set_process_option(_PR_SET_DUMPABLE, 1)


def _find_closed(path: str) -> str:
    """The outermost folder on the way to `path` that others can't enter; empty where there is none."""
    parts = Path(path).parts
    for count in range(2, len(parts)):
        place = os.path.join(*parts[:count])
        if not os.stat(place).st_mode & 0o001:
            return place
    return ""


def _walk(top: str) -> Iterator[tuple[str, int, os.stat_result]]:
    """Name, folder's descriptor and status of all below a folder, through descriptors: no link leads away."""
    for _, folders, files, descriptor in os.fwalk(top, follow_symlinks=False):
        for name in (*folders, *files):
            yield name, descriptor, os.stat(name, dir_fd=descriptor, follow_symlinks=False)


def _open_to_read(paths: Iterable[str]) -> None:
    """Let everybody read what is in these paths of ours; the private folders above them keep others out."""
    for top in paths:
        if not _is_open(status := os.stat(top)):
            os.chmod(top, _opened(status))
        for name, descriptor, inner in _walk(top) if os.path.isdir(top) else ():
            if not stat.S_ISLNK(inner.st_mode) and not _is_open(inner):
                os.chmod(name, _opened(inner), dir_fd=descriptor)


def _opened(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) | (0o005 if stat.S_ISDIR(status.st_mode) else 0o004)


def _give_away(folders: Iterable[str], user: int) -> None:
    """Make all in these folders a user's."""
    for top in folders:
        os.chown(top, user, user)
        for name, descriptor, status in _walk(top):
            if status.st_uid != user:
                os.chown(name, user, user, dir_fd=descriptor, follow_symlinks=False)


def limit_processes(most: int) -> None:
    """Let this isolated process and what it starts be `most` processes and threads at once.

    The kernel counts those of the user in our user namespace, so no other's. It doesn't count those of the
    machine's root: see `has_process_limit`. Raises OSError, ValueError.
    """
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def has_process_limit() -> bool:
    """Whether `limit_processes` binds here: where isolated children aren't the machine's root."""
    return not probe() and _probe().user != 0


class Probe(NamedTuple):
    """What an isolated child has found out."""

    #: Why children can't be isolated here; empty where they can.
    reason: str
    #: The user that a child is outside its namespace.
    user: int = 0


def probe() -> str:
    """Return why children can't be isolated here; empty where they can. Tries it once."""
    return _probe().reason


def is_isolated() -> bool:
    """Return whether this process is one that `isolate` made nobody."""
    try:
        inside = Path("/proc/self/uid_map").read_text(encoding="ascii").split()[:1]
    except OSError:
        return False
    return inside == [str(_NOBODY)]


@functools.cache
def _probe() -> Probe:
    if sys.platform != "linux":
        return Probe(f"there are no namespaces on {sys.platform}")
    # Here, since every isolated child pays for what this module imports.
    import subprocess

    command = [sys.executable, "-I", "-m", "securetag.system.isolation"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=True, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        return Probe(f"the attempt failed: {error}")
    user, _, reason = done.stdout.strip().partition(" ")
    return Probe(reason, _to_machine(int(user)))


def _to_machine(user: int) -> int:
    """The number that a user of our namespace has in the machine's."""
    for inside, outside, count in _read_map("uid_map"):
        if inside <= user < inside + count:
            return outside + user - inside
    return user


def _outermost(paths: Iterable[str]) -> list[str]:
    """Existing paths, absolute, outer ones first, so that none hides another one."""
    return sorted({os.path.abspath(path) for path in paths if os.path.exists(path)}, key=len)


def _is_below_any(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


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
    reason = _try()
    # The map names the user outside that it stands for.
    print(_read_map("uid_map")[0][1], reason)
