"""The one way out of an isolated process: a port of its own loopback that leads to a Unix socket outside.

A process in a network of its own reaches nothing. `open_gateway` is called in it before its program: it
starts a child that takes connections at GATEWAY_PORT and passes their bytes to the socket and back. Whoever
listens at the socket, in the network outside, decides what the program reaches.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from securetag.system.launch import die_with_parent

#: Nothing else listens in a network of its own.
GATEWAY_PORT = 3128
#: Where the program finds it.
GATEWAY_URL = f"http://127.0.0.1:{GATEWAY_PORT}"
#: <linux/sockios.h>, <linux/if.h>
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_CHUNK = 64 * 1024
_MAX_WAITING = 64


def open_gateway(path: str) -> None:
    """Start the child; it ends with this process, also where that becomes another program. Raises OSError."""
    _raise_loopback()
    listener = socket.create_server(("127.0.0.1", GATEWAY_PORT), backlog=_MAX_WAITING)
    parent = os.getpid()
    if os.fork():
        listener.close()
        return
    try:
        die_with_parent(parent)
        while True:
            client = listener.accept()[0]
            threading.Thread(target=_pass_on, args=(client, path), daemon=True).start()
    except BaseException as error:
        print(f"securetag: the gateway has ended: {error}", file=sys.stderr)
    finally:
        os._exit(1)


@contextlib.contextmanager
def short_path(path: str | Path) -> Iterator[str]:
    """Yield another path of the same file, short enough for a socket's name (107 bytes)."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interfaces:
        answer = fcntl.ioctl(interfaces, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", answer)[1]
        fcntl.ioctl(interfaces, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def _pass_on(client: socket.socket, path: str) -> None:
    """Copy bytes in both directions until both sides have ended."""
    with client, socket.socket(socket.AF_UNIX) as outside, contextlib.suppress(OSError):
        with short_path(path) as short:
            outside.connect(short)
        back = threading.Thread(target=_copy, args=(outside, client), daemon=True)
        back.start()
        _copy(client, outside)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
