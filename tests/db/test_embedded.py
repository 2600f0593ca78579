"""PostgreSQL from the wheel: as root and not, under awkward homes, killed, stopped, adopted."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import securetag
from securetag.db import upgrade
from securetag.db.binaries import account
from securetag.db.embedded import DATABASE, SUPERUSER, Cluster
from securetag.db.engine import API, BACKUP, GATE, HARVEST, OWNER
from securetag.errors import ConflictError, SettingsError
from securetag.records import JsonObject

#: How another interpreter finds us and what we need.
PACKAGES = {
    "PYTHONPATH": os.pathsep.join(
        [str(Path(securetag.__file__).parents[1]), *(path for path in sys.path if path.endswith("-packages"))]
    )
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("embedded") / "home", durable=False)
    yield made
    made.destroy()


@pytest.fixture
def cluster(shared: Cluster) -> Cluster:
    """The module's cluster, running; a test may do to it what it likes."""
    shared.start()
    return shared


@pytest.fixture(scope="module")
def launched_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for the tests of the launcher, so that `initdb` runs once."""
    home = tmp_path_factory.mktemp("launched")
    yield home
    Cluster(home).destroy()


def answers(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def gone(pid: int, within_s: float = 15) -> bool:
    """Has the process ended (a zombie has)?"""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def launcher(
    home: Path, *options: str, python: str = sys.executable, **popen: Any
) -> tuple[subprocess.Popen[bytes], JsonObject]:
    """`python -m securetag.db.embedded` and what it published."""
    arguments = [python, "-m", "securetag.db.embedded", "--home", str(home), *options]
    process = subprocess.Popen(arguments, **popen)
    published = home / "run" / "postgres.json"
    deadline = time.monotonic() + 60
    while not published.exists():
        assert process.poll() is None, "the launcher ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process, json.loads(published.read_text())


def test_a_private_home_with_a_long_path(tmp_path: Path) -> None:
    home = tmp_path / ("h" * max(1, 150 - len(str(tmp_path)) - 1))
    home.mkdir(mode=0o700)
    assert len(str(home)) >= 150
    with Cluster(home, durable=False) as cluster:
        assert answers(cluster.dsn())
        socket = Path(cluster.connection_info()["socket"])
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "pg" / "cluster.json").stat().st_mode) == 0o600
        if os.geteuid() == 0:
            uid = os.stat(f"/proc/{cluster.pid}").st_uid
            assert uid == account().uid != 0
            assert not cluster.data.is_relative_to(home)
    assert not socket.exists()
    assert not cluster.data.exists()


@pytest.mark.system
def test_it_keeps_its_rows_and_its_address_over_restarts(cluster: Cluster) -> None:
    dsn = cluster.dsn("postgres", SUPERUSER)
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    cluster.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    cluster.start()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT seven FROM kept").fetchone() == (7,)


@pytest.mark.system
def test_it_comes_back_after_kill_9(cluster: Cluster) -> None:
    for _ in range(3):
        killed = cluster.pid
        os.kill(killed, signal.SIGKILL)
        cluster._process.wait()  # type: ignore[union-attr]
        cluster.start()
        assert cluster.pid != killed
        assert answers(cluster.dsn())


def test_it_listens_on_its_socket_alone_and_asks_for_a_password(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn("postgres", SUPERUSER)) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert rules == [("scram-sha-256",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(cluster.dsn().replace("securetag_api:", "securetag_owner:"))


def test_one_home_has_one_launcher(cluster: Cluster) -> None:
    with pytest.raises(ConflictError, match=str(os.getpid())):
        Cluster(cluster.home).start()
    other = Cluster(cluster.home)
    other.attach()
    assert answers(other.dsn())


def test_a_home_without_a_cluster_has_nothing_to_attach_to(tmp_path: Path) -> None:
    with pytest.raises(ConflictError):
        Cluster(tmp_path).attach()


@pytest.mark.system
def test_data_of_a_deleted_home_is_set_aside(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn("postgres", SUPERUSER)) as connection:
        connection.execute("CREATE TABLE theirs AS SELECT 7 AS seven")
    cluster.stop()
    (cluster.home / "pg" / "cluster.json").unlink()
    cluster.start()
    with psycopg.connect(cluster.dsn("postgres", SUPERUSER)) as connection:
        assert connection.execute("SELECT to_regclass('theirs')").fetchone() == (None,)
    assert (cluster.data.with_name(cluster.data.name + ".previous") / "PG_VERSION").exists()


@pytest.mark.system
def test_an_interrupted_initdb_is_begun_again(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, durable=False)
    cluster.data.mkdir(parents=True)
    (cluster.data / "PG_VERSION").write_text("18")
    try:
        cluster.start()
        assert answers(cluster.dsn())
    finally:
        cluster.destroy()


@pytest.mark.system
def test_the_launcher_serves_restarts_and_stops(launched_home: Path) -> None:
    process, about = launcher(launched_home)
    published = launched_home / "run" / "postgres.json"
    try:
        assert stat.S_IMODE(published.stat().st_mode) == 0o600
        os.kill(about["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while json.loads(published.read_text())["pid"] == about["pid"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server = json.loads(published.read_text())["pid"]
        with psycopg.connect(about["dsn"][API]) as connection:  # The address is the same.
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert gone(server)
    assert not published.exists()


@pytest.mark.system
def test_a_killed_launcher_leaves_no_server_and_no_lock(launched_home: Path) -> None:
    process, about = launcher(launched_home)
    process.kill()
    process.wait()
    assert gone(about["pid"])
    with Cluster(launched_home) as cluster:
        assert cluster.dsn() == about["dsn"][API]
        assert answers(cluster.dsn())


@pytest.mark.system
def test_a_server_that_outlived_its_launcher_is_replaced(
    launched_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the kernel knows no parent-death signal."""
    monkeypatch.setattr("securetag.db.embedded._die_with_parent", lambda: None)
    lost = Cluster(launched_home)
    lost.start()
    stray, lost._process = lost._process, None
    assert stray is not None
    lost._lock.release()  # type: ignore[union-attr]
    with Cluster(launched_home) as cluster:
        assert stray.wait(10) == 0
        assert answers(cluster.dsn())


@pytest.mark.system
def test_the_launcher_ends_with_whom_it_watches(launched_home: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as watched:
        process, about = launcher(launched_home, "--watch", str(watched.pid))
        watched.kill()
        watched.wait()
        assert process.wait(30) == 0
        assert gone(about["pid"])


def python_of(uid: int) -> str:
    """An interpreter of our version that another user can start with our packages, or a skip."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            tried = subprocess.run(
                [python, "-c", "import securetag.db.embedded"],
                user=uid,
                cwd="/",
                capture_output=True,
                env=PACKAGES,
                check=False,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return python
    pytest.skip("another user can't read this environment")


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_needs_nothing_of_root() -> None:
    nobody = pwd.getpwnam("nobody")
    python = python_of(nobody.pw_uid)
    # Below /tmp, since pytest's own folders are private to root.
    home = Path(tempfile.mkdtemp(prefix="securetag-nobody-", dir="/tmp"))
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    try:
        process, about = launcher(
            home,
            "--throwaway",
            python=python,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            cwd="/",
            env={**PACKAGES, "HOME": str(home)},
        )
        assert (home / "pg" / "data" / "PG_VERSION").exists()
        assert os.stat(f"/proc/{about['pid']}").st_uid == nobody.pw_uid
        process.terminate()
        assert process.wait(30) == 0
        assert not (home / "pg").exists()
    finally:
        shutil.rmtree(home)


def test_root_without_an_account_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("securetag.db.binaries.ACCOUNTS", ("no-such-account",))
    with pytest.raises(SettingsError, match="root"):
        account()


def test_roles_are_made_by_a_user_that_is_no_superuser(cluster: Cluster) -> None:
    """From nothing, as on a managed server."""
    with psycopg.connect(cluster.dsn("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {}").format(Identifier(DATABASE)))
        for role in (OWNER, API, GATE, HARVEST, BACKUP):
            connection.execute(SQL("DROP ROLE {}").format(Identifier(role)))
        connection.execute("CREATE ROLE deploy LOGIN CREATEROLE PASSWORD 'secret'")
        connection.execute("CREATE DATABASE managed OWNER deploy")
    password = cluster.dsn("managed", "deploy").split("deploy:")[1].split("@")[0]
    dsn = cluster.dsn("managed", "deploy").replace(password, "secret")
    assert upgrade.upgrade(dsn) == upgrade.head_revision()
    for role in (API, HARVEST, BACKUP):
        assert upgrade.current_revision(dsn, role) == upgrade.head_revision()
    # The next start makes the roles again.
    cluster.stop()
