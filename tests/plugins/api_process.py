"""The api as a process of its own, on a port of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 60.0


@contextmanager
def running(
    home: Path, dsn: str, *, before: str = "pass", **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`python -m securetag.api --port 0` and its URL, stopped at the end.

    `settings` are those of `[api]`, by their names there; `before` is Python that runs first.
    """
    environment = os.environ | {
        "SECURETAG_HOME": str(home),
        "DATABASE_URL": dsn,
        "PYTHONWARNINGS": "error::ResourceWarning",
        **{f"SECURETAG_API__{name.upper()}": value for name, value in settings.items()},
    }
    code = f"{before}; import runpy; runpy.run_module('securetag.api', run_name='__main__')"
    process = subprocess.Popen([sys.executable, "-c", code, "--port", "0"], env=environment)
    try:
        address, deadline = home / "run" / "api.json", time.monotonic() + START_S
        while not address.exists():
            assert process.poll() is None, "the api ended while it started"
            assert time.monotonic() < deadline, "the api didn't say where it listens"
            time.sleep(0.05)
        published = json.loads(address.read_text())
        assert published["pid"] == process.pid
        yield process, published["url"]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
