"""`python -m benchmarks.api.load URL KEY READERS SECONDS PID [PATH]`: readers that ask again and again.

Prints status → answers, and `cpu_s`: what the process PID has used, both after a warm-up, as JSON.

A reader that is refused waits as long as `Retry-After` says. Plain sockets, so that the client costs the
machine less than the server does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import psutil


async def read_on(host: str, port: int, key: str, until: float, statuses: Counter[int], path: str) -> None:
    """One reader: a connection that is opened again where the server closes it."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\r\n".encode()
    reader = writer = None
    while time.monotonic() < until:
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            await reader.readexactly(int(headers["content-length"]))
            status = int(head.split(" ", 2)[1])
            statuses[status] += time.monotonic() < until
            if headers.get("connection") == "close":
                writer.close()
                writer = None
            if "retry-after" in headers:
                await asyncio.sleep(min(float(headers["retry-after"]), max(0, until - time.monotonic())))
        except (OSError, asyncio.IncompleteReadError):
            statuses[0] += 1
            writer = None
            await asyncio.sleep(0.5)


async def main(url: str, key: str, readers: int, seconds: float, pid: int, path: str = "/projects") -> None:
    parts = urlsplit(url)
    statuses: Counter[int] = Counter()
    until = time.monotonic() + WARM_UP_S + seconds
    host, port = str(parts.hostname), parts.port or 80
    crowd = asyncio.gather(*(read_on(host, port, key, until, statuses, path) for _ in range(readers)))
    server = psutil.Process(pid)
    await asyncio.sleep(WARM_UP_S)
    statuses.clear()
    before = server.cpu_times()
    await asyncio.sleep(seconds)
    after, answered = server.cpu_times(), dict(statuses)
    await crowd
    print(json.dumps({**answered, "cpu_s": after.user + after.system - before.user - before.system}))


#: Seconds until the queue is as long as it gets.
WARM_UP_S = 4.0


if __name__ == "__main__":
    url, key, readers, seconds, pid, *path = sys.argv[1:]
    asyncio.run(main(url, key, int(readers), float(seconds), int(pid), *path))
