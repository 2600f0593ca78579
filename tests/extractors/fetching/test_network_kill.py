"""A fetch that is killed at any moment goes on where it was, and never leaves a half file behind."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import upstream as upstream_module
import yaml
from upstream import Reply, Request, Upstream, drip, serve_file

pytestmark = [pytest.mark.sockets, pytest.mark.system]

KILLS = 8


def make_file(number: int) -> bytes:
    numbers = random.Random(number)
    return f'{{"a": "{numbers.randbytes(300_000).hex()}"}}'.encode()


def test_a_fetch_that_is_killed_goes_on(tmp_path: Path) -> None:
    urls = [f"https://files.example/{number}.json" for number in range(3)]
    contents = {url: make_file(number) for number, url in enumerate(urls)}
    sent = 0

    def answer(request: Request) -> Reply:
        reply = serve_file(contents[request.url], request)

        def count() -> Iterator[bytes]:
            nonlocal sent
            for piece in drip(reply.body, 8_192, 0.01):
                sent += len(piece)
                yield piece

        return Reply(reply.status, reply.body, reply.headers, count() if reply.body else ())

    row = {
        "name": "files", "tier": "extended", "publisher": "Tester", "dataset": "files", "title": "Files",
        "edition": "1", "url": "https://files.example/", "licence": "CC0-1.0", "reader": "folder",
        "network": [{"url": url} for url in urls],
    }  # fmt: skip
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump([row]))
    server = Upstream(["files.example"], dict.fromkeys(urls, answer))
    environment = os.environ | {
        "SECURETAG_CATALOG": str(tmp_path / "catalog.yaml"),
        "SECURETAG_FETCH__MODE": "network",
        "SSL_CERT_FILE": str(server.write_authority(tmp_path / "ca.pem")),
        "UPSTREAM_PORTS": f"{server.port('http')},{server.port('https')}",
    }
    command = [sys.executable, upstream_module.__file__, "source", "fetch", "files", "--json"]
    moments = random.Random(7)
    try:
        for _ in range(KILLS):
            start = sent
            until = start + moments.randrange(1, 300_000)
            child = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            while sent < until and child.poll() is None:
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
            output, _ = child.communicate()
            assert child.returncode in (-signal.SIGKILL, 0), output.decode()
            assert sent > start or child.returncode == 0, output.decode()
        last = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert last.returncode == 0, last.stderr
    finally:
        server.close()
    raw = tmp_path / "data" / "raw" / "files"
    files = {path.name: path for path in raw.glob("*/?.json")}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == {
        url.rsplit("/", 1)[-1]: hashlib.sha256(content).hexdigest() for url, content in contents.items()
    }
    assert not list(raw.rglob("*.part*"))
    assert sum("Range" in request.headers for request in server.requests) >= 3
    # A kill loses what was under way between the two processes, never what had arrived.
    assert sent < sum(map(len, contents.values())) + KILLS * 65_536
