"""What a scanner's process can't do: reach a network, write elsewhere, see others' /tmp, be root."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securetag.scanning.process import minimal_environment, run
from securetag.system.isolation import probe

#: Prints what it can do, as JSON. Arguments: a port that listens, a file elsewhere, the name of one in /tmp.
ATTEMPTS = """
import json, os, socket, sys
port, elsewhere, neighbor = sys.argv[1:]
def attempt(call):
    try:
        call()
    except OSError as error:
        return error.strerror
    return "done"
print(json.dumps({
    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), 2)),
    "elsewhere": attempt(lambda: open(elsewhere, "w")),
    "etc": attempt(lambda: open("/etc/securetag-probe", "w")),
    "own": attempt(lambda: open("own", "w")),
    "tmp": attempt(lambda: open("/tmp/securetag-own", "w")),
    "neighbor": attempt(lambda: open("/tmp/" + neighbor)),
    "uid": os.getuid(),
    "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff")][0],
}))
"""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def attempts(folder: Path, port: int) -> dict[str, Any]:
    """What a tool whose folder this is can do."""
    out = folder / "out"
    out.mkdir()
    with tempfile.NamedTemporaryFile(dir="/tmp") as neighbor:
        script = [
            sys.executable,
            "-c",
            ATTEMPTS,
            str(port),
            str(folder / "elsewhere"),
            Path(neighbor.name).name,
        ]
        result = run(
            script,
            cwd=out,
            timeout_s=60,
            memory_mb=2_000,
            stdout=out / "stdout",
            stderr=out / "stderr",
            env=minimal_environment(out, out),
        )
    assert result.exit_code == 0, (out / "stderr").read_text()
    seen: dict[str, Any] = json.loads((out / "stdout").read_text())
    return seen


@pytest.mark.sockets
@pytest.mark.skipif(bool(probe()), reason=f"no namespaces here: {probe()}")
def test_a_tool_is_alone(tmp_path: Path, port: int) -> None:
    seen = attempts(tmp_path, port)
    assert seen.pop("capabilities").strip("0") == ""
    assert seen == {
        "connect": "Network is unreachable",
        # Below /tmp: into one of its own.
        "elsewhere": "done",
        "etc": "Read-only file system",
        "own": "done",
        "tmp": "done",
        "neighbor": "No such file or directory",
        "uid": 65534,
    }
    assert (tmp_path / "out" / "own").exists()
    assert not Path("/tmp/securetag-own").exists()
    assert not (tmp_path / "elsewhere").exists()


#: Forbids further user namespaces in one of its own, as many containers do, and then runs Python.
FORBIDDEN = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1" "$2"'
UNSHARE = ["unshare", "--user", "--map-root-user"]
FALLBACK = """
import json, sys
from pathlib import Path
from securetag.scanning.process import minimal_environment, run
from securetag.system.isolation import probe
out = Path(sys.argv[1])
limits = "import resource as r; print(r.getrlimit(r.RLIMIT_AS)[0] >> 20, r.getrlimit(r.RLIMIT_FSIZE)[0])"
result = run([sys.executable, "-c", limits], cwd=out, timeout_s=60, memory_mb=2000, max_output=5000,
    stdout=out / "stdout", stderr=out / "stderr", env=minimal_environment(out, out))
print(json.dumps([probe(), result.exit_code, (out / "stdout").read_text()]))
"""


@pytest.mark.skipif(shutil.which("unshare") is None or bool(probe()), reason="no unshare to forbid it with")
def test_where_the_kernel_refuses_tools_run_with_their_limits_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            FORBIDDEN,
            sys.executable,
            FALLBACK,
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.getcwd(),
    )
    assert done.returncode == 0, done.stderr
    reason, exit_code, limits = json.loads(done.stdout)
    assert reason.startswith("unshare:")
    assert (exit_code, limits) == (0, "2000 5000\n")
