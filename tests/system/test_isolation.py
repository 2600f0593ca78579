"""What a scanner's process can't do: reach a network, write elsewhere, see others' /tmp, be root."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from securetag.scanning.process import ProcessResult, minimal_environment, run
from securetag.system.gateway import short_path
from securetag.system.isolation import TOOL_UIDS, has_process_limit, probe

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
    # Below /tmp: into one of its own, where root's tool is another user than who has made the folder.
    assert seen.pop("elsewhere") in {"done", "Permission denied"}
    assert seen == {
        "connect": "Network is unreachable",
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
        result = run_python(out, program, str(rules / "pack.json"), hidden=[home])
        assert result.exit_code == 0, (out / "stderr").read_text()
        contents, variables = json.loads((out / "stdout").read_text())
    assert contents.pop(str(rules / "pack.json")) == "content"
    assert contents.pop(str(parent / "environ")) == "Permission denied"
    assert contents.pop(str(home)) == ["run"]
    outside = contents.pop(str(user / "visible"))
    # The folder above is root's alone, which root's tools aren't.
    is_seen = below != "/tmp" and os.geteuid() != 0
    assert outside == ("content" if is_seen else "No such file or directory")
    assert "content" not in contents.values()
    assert len(contents) == len(secrets) + 1
    assert set(variables) <= {"HOME", "LANG", "LC_CTYPE", "PATH", "SECURETAG_SANDBOX", "TMPDIR", "TZ"}


#: Starts processes that last a second, but never more than this many, and prints how many it could.
MOST = 1_200
FORKS = f"""
import os, time
started = 0
try:
    for _ in range({MOST}):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        started += 1
except BlockingIOError:
    pass
print(started)
"""


@pytest.mark.system
@pytest.mark.skipif(not has_process_limit(), reason="no limit of processes here")
def test_a_tool_can_t_start_processes_without_end(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for out in folders:
        out.mkdir()
    with ThreadPoolExecutor() as pool:
        # Two at once: neither counts the other's.
        results = [pool.submit(run_python, out, FORKS) for out in folders]
    assert [result.result().exit_code for result in results] == [0, 0]
    for out in folders:
        assert 1_000 < int((out / "stdout").read_text()) < 1_024


def run_python(
    out: Path,
    program: str,
    *arguments: str,
    cwd: Path | None = None,
    gateway: Path | None = None,
    hidden: Sequence[Path] = (),
) -> ProcessResult:
    return run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd or out,
        timeout_s=60,
        memory_mb=2_000,
        stdout=out / "stdout",
        stderr=out / "stderr",
        env=minimal_environment(out, out),
        gateway=gateway,
        hidden=hidden,
    )


@pytest.mark.skipif(
    os.geteuid() != 0 or not has_process_limit(), reason="this isn't root, or can't become another"
)
def test_of_root_s_tools_each_is_a_user_of_its_own_that_reads_the_project(tmp_path: Path) -> None:
    home = tmp_path / "home"
    project, out = home / "run" / "project", home / "run" / "out"
    (project / "lib").mkdir(parents=True)
    out.mkdir()
    home.chmod(0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("content")
    elsewhere.chmod(0o600)
    (project / "lib" / "app.py").write_text("content")
    (project / "lib").chmod(0o700)
    (project / "lib" / "app.py").chmod(0o600)
    for name, target in {"shadow": "/etc/shadow", "elsewhere": str(elsewhere), "root": "/root"}.items():
        (project / "lib" / name).symlink_to(target)
        (out / name).symlink_to(target)
    program = "import os; print(open('lib/app.py').read(), os.access('/etc/shadow', 4)); open('{}/x', 'w')"
    untouched = [Path("/etc/shadow"), Path("/root"), elsewhere, home]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in untouched]
    users = set()
    for _ in range(2):
        result = run_python(out, program.format(out), cwd=project, hidden=[home])
        assert result.exit_code == 0, (out / "stderr").read_text()
        assert (out / "stdout").read_text() == "content False\n"
        users.add((out / "x").stat().st_uid)
    assert len(users) == 2
    assert min(users) >= TOOL_UIDS
    assert [(path.stat().st_mode, path.stat().st_uid) for path in untouched] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="this isn't root")
def test_no_file_that_isn_t_ours_changes_for_a_tool_of_root_s(tmp_path: Path) -> None:
    """A project of somebody's that only root can read: the tool then stays the user that it is started by."""
    project, out = tmp_path / "project", tmp_path / "out"
    (project / "lib").mkdir(parents=True)
    out.mkdir()
    project.chmod(0o700)
    result = run(
        [sys.executable, "-c", f"import os; print(os.listdir('.')); open({str(out / 'x')!r}, 'w')"],
        cwd=project,
        timeout_s=60,
        memory_mb=2_000,
        stdout=out / "stdout",
        stderr=out / "stderr",
        env=minimal_environment(out, out),
    )
    assert result.exit_code == 0, (out / "stderr").read_text()
    assert (out / "stdout").read_text() == "['lib']\n"
    assert (out / "x").stat().st_uid == 0
    assert project.stat().st_mode & 0o777 == 0o700


#: Asks what is at the gateway, and what else can be reached.
ASKS = """
import socket
def ask(host, port):
    try:
        with socket.create_connection((host, port), 5) as connection:
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(100)
    except OSError as error:
        return error.strerror
print([ask("127.0.0.1", 3128), ask("127.0.0.1", {port}), ask("192.0.2.1", 80)])
"""


@pytest.mark.sockets
@pytest.mark.skipif(bool(probe()), reason=f"no namespaces here: {probe()}")
def test_a_tool_reaches_what_its_gateway_leads_to_and_nothing_else(tmp_path: Path, port: int) -> None:
    # A path longer than a socket's name may be.
    out = tmp_path / ("a" * 120)
    out.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        with short_path(out / "gateway") as short:
            listener.bind(short)
        listener.listen()

        def answer() -> bytes:
            connection = listener.accept()[0]
            with connection:
                heard = b"".join(iter(partial(connection.recv, 100), b""))
                connection.sendall(heard.upper())
            return heard

        with ThreadPoolExecutor() as pool:
            heard = pool.submit(answer)
            result = run_python(out, ASKS.format(port=port), gateway=out / "gateway")
            assert heard.result(30) == b"hello"
    assert result.exit_code == 0, (out / "stderr").read_text()
    reached = (out / "stdout").read_text()
    assert reached == "[b'HELLO', 'Connection refused', 'Network is unreachable']\n"


#: Forbids further user namespaces in one of its own, as many containers do, and then runs Python.
FORBIDDEN = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1" "$2"'
UNSHARE = ["unshare", "--user", "--map-root-user"]
FALLBACK = """
import json, sys
from pathlib import Path
from securetag.scanning.process import ProcessResult, minimal_environment, run
from securetag.system.gateway import short_path
from securetag.system.isolation import TOOL_UIDS, has_process_limit, probe
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
