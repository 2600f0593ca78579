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


#: Prints what it can read of the paths it is given, as JSON, and the names in its environment.
READS = """
import json, os, sys
def read(path):
    try:
        if os.path.isdir(path):
            return sorted(os.listdir(path))
        return open(path).read()
    except OSError as error:
        return error.strerror
print(json.dumps([{path: read(path) for path in sys.argv[1:]}, sorted(os.environ)]))
"""


@pytest.mark.skipif(bool(probe()), reason=f"no namespaces here: {probe()}")
@pytest.mark.parametrize("below", ["/tmp", str(Path(__file__).parent)])
def test_a_tool_sees_no_secret_of_the_installation_or_of_the_worker_s_user(
    below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECURETAG_API_KEY", "key")
    with tempfile.TemporaryDirectory(dir=below) as folder:
        user, home = Path(folder) / "user", Path(folder) / "securetag"
        monkeypatch.setenv("HOME", str(user))
        out, rules = home / "run" / "worker" / "out", home / "run" / "rules"
        secrets = [home / "database.json", user / ".ssh" / "id", user / ".aws" / "keys", user / ".netrc"]
        for path in (out, rules, *(secret.parent for secret in secrets)):
            path.mkdir(parents=True, exist_ok=True)
        for path in (*secrets, rules / "pack.json", rules / "other.json"):
            path.write_text("content")
        (user / "visible").write_text("content")
        seen = [*secrets, home, rules / "pack.json", rules / "other.json", user / "visible"]
        parent = Path(f"/proc/{os.getpid()}")
        # Not as arguments: what a command names, its tool sees.
        program = READS.replace("sys.argv[1:]", repr([str(path) for path in (*seen, parent / "environ")]))
        result = run(
            [sys.executable, "-c", program, str(rules / "pack.json")],
            cwd=out,
            timeout_s=60,
            memory_mb=2_000,
            stdout=out / "stdout",
            stderr=out / "stderr",
            env=minimal_environment(out, out),
            hidden=[home],
        )
        assert result.exit_code == 0, (out / "stderr").read_text()
        contents, variables = json.loads((out / "stdout").read_text())
    assert contents.pop(str(rules / "pack.json")) == "content"
    assert contents.pop(str(parent / "environ")) == "Permission denied"
    assert contents.pop(str(home)) == ["run"]
    outside = contents.pop(str(user / "visible"))
    assert outside == ("No such file or directory" if below == "/tmp" else "content")
    assert "content" not in contents.values()
    assert len(contents) == len(secrets) + 1
    assert set(variables) <= {"HOME", "LANG", "LC_CTYPE", "PATH", "SECURETAG_SANDBOX", "TMPDIR", "TZ"}


#: Starts processes that last a second, but never more than this many, and prints how many it could.
MOST = 60
FORKS = f"""
import os, sys, time
sys.path[:0] = [sys.argv[1]]
from securetag.system.isolation import isolate, limit_processes
isolate([os.getcwd()], [])
limit_processes(20)
started = 0
try:
    for _ in range({MOST}):
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
        started += 1
except BlockingIOError:
    pass
print(started)
"""


@pytest.mark.system
@pytest.mark.skipif(
    bool(probe()) or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="no namespaces or setpriv",
)
def test_a_tool_can_t_start_processes_without_end() -> None:
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        # Root isn't counted; the system's Python, since nobody may not read below /root.
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        python = "/usr/bin/python3" if nobody else sys.executable
        done = subprocess.run(
            [*nobody, python, "-c", FORKS, str(root)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 19


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
