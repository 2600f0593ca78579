"""PostgreSQL without Docker: one cluster of our own under a home, on a Unix socket.

::

    with Cluster(home) as cluster:
        engine = create_engine(cluster.dsn())

Files: `<home>/pg/cluster.json` (0600: secret, socket folder, id), `<home>/pg/lock`,
`<home>/logs/postgres.log`; the data in `<home>/pg/data`, or for root in
`/var/lib/securetag/<hash of home>`, since PostgreSQL then runs as an account that can't enter a
private home. The socket is in a short folder of its own, because a socket's path may be no longer
than 107 bytes; its place is kept over restarts, so a pool finds the database again.

Passwords are HMAC-SHA256(secret, role): who knows one role's can't tell another's.

`python -m securetag.db.embedded --home H` runs a cluster until SIGTERM or SIGINT, starts it again
when it dies, and publishes `<home>/run/postgres.json` (0600).
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
import sqlalchemy

from securetag.db import binaries, roles
from securetag.db.engine import API, HARVEST, OWNER
from securetag.errors import ConflictError, DatabaseUnavailableError, SecuretagError, SettingsError
from securetag.records import JsonObject
from securetag.system.files import PRIVATE, make_private_folder, write_atomic
from securetag.system.launch import die_with_parent
from securetag.system.locks import FileLock, try_lock

SUPERUSER = "postgres"
DATABASE = "securetag"
#: Longest folder for the socket: 107 bytes less the socket's own name and mkdtemp's suffix.
MAX_SOCKET_PARENT = 70
#: Seconds. A start takes 0.1 s, recovery after kill -9 on a loaded machine has taken 5.
START_S = 60.0
STOP_S = 15.0
#: Seconds for which a cluster's lock is waited for: its holder may have been killed a moment ago.
LOCK_S = 5.0
#: For tests: what is committed survives a kill -9 of the server, though not one of the machine.
#: `synchronous_commit` stays on: without it a commit lives in shared memory and dies with the server.
_VOLATILE = ("fsync=off", "full_page_writes=off")


class Cluster:
    """One PostgreSQL cluster that belongs to a home. Not for Windows.

    `durable=False` is for tests alone: no fsync, and `with` deletes it at its end. `state` is where
    root's data and programs lie.
    """

    def __init__(self, home: Path, *, durable: bool = True, state: Path = binaries.ROOT_STATE) -> None:
        self.home = home.absolute()
        self._durable = durable
        self._account = binaries.account()
        self._state = state
        self._folder = self.home / "pg"
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        self.data = state / digest if self._account.switch else self._folder / "data"
        self._about: dict[str, str] = {}
        self._lock: FileLock | None = None
        self._process: subprocess.Popen[bytes] | None = None

    # Life

    def start(self) -> None:
        """Start, or start again after a crash; returns when it answers. A running one is left alone.

        Raises ConflictError when another process runs this home's cluster, SettingsError when it
        can't be installed here, DatabaseUnavailableError when it doesn't come up.
        """
        if self.running:
            return
        self._acquire()
        try:
            self._read_about()
            self._end_stray()
            if not (self.data / "PG_VERSION").is_file():
                self._initialise()
            self._launch()
            self._prepare()
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)

    def attach(self) -> None:
        """Learn where this home's cluster is that another process runs: `dsn` and databases then work.

        Raises ConflictError when the home has none.
        """
        try:
            self._about = json.loads((self._folder / "cluster.json").read_text())
        except (OSError, ValueError) as error:
            raise ConflictError(f"{self.home} has no PostgreSQL of its own") from error

    def stop(self) -> None:
        """Fast shutdown (sessions are cut, everything is written), then harder. Idempotent."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            for number, patience in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
                try:
                    process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
        if self._lock is not None:
            if self._about:
                with contextlib.suppress(OSError):
                    Path(self._about["socket"]).rmdir()
            self._lock.release()
            self._lock = None

    def destroy(self) -> None:
        """Stop, and delete every trace: data, secret, socket.

        Raises ConflictError, and deletes nothing, when another process runs this home's cluster.
        """
        self._acquire()
        self.stop()
        for folder in (self.data, self._previous, self._folder):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Does the server process live? (It may still be in recovery.)"""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the server. Raises ConflictError when it isn't running."""
        if self._process is None or not self.running:
            raise ConflictError("the embedded PostgreSQL isn't running")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._durable:
            self.stop()
        else:
            self.destroy()

    # Addresses

    def dsn(self, database: str = DATABASE, role: str = API) -> str:
        """libpq URL of a database as a role (`securetag_api`, `…_owner`, `…_harvest` or `postgres`)."""
        socket = quote(self._about["socket"], safe="")
        return f"postgresql://{role}:{self._password(role)}@/{quote(database)}?host={socket}"

    def connection_info(self) -> JsonObject:
        """What `run/postgres.json` holds: pid, socket folder, database, and a DSN a role."""
        return {
            "pid": self.pid,
            "socket": self._about["socket"],
            "database": DATABASE,
            "dsn": {role: self.dsn(DATABASE, role) for role in (OWNER, API, HARVEST)},
        }

    def create_database(self, name: str, *, owner: str = OWNER, template: str | None = None) -> None:
        """Raises sqlalchemy's ProgrammingError when it exists."""
        suffix = f' TEMPLATE "{template}"' if template else ""
        self._as_superuser(f'CREATE DATABASE "{name}" OWNER "{owner}"{suffix}')

    def drop_database(self, name: str) -> None:
        """Cuts its sessions; no error when there is none."""
        self._as_superuser(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    # How

    def _password(self, role: str) -> str:
        return hmac.new(bytes.fromhex(self._about["secret"]), role.encode(), "sha256").hexdigest()

    def _as_superuser(self, statement: str) -> None:
        with psycopg.connect(self.dsn("postgres", SUPERUSER), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _acquire(self) -> None:
        if self._lock is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / "lock"
        lock = try_lock(path, timeout_s=LOCK_S)
        if lock is None:
            holder = path.read_text(encoding="ascii").strip() or "unknown"
            raise ConflictError(
                f"process {holder} already runs the PostgreSQL of {self.home}",
                hint="Use the address in run/postgres.json, or stop that process first.",
            )
        path.write_text(str(os.getpid()), encoding="ascii")  # for the message above; the lock is the kernel's
        self._lock = lock

    def _read_about(self) -> None:
        """Read or make `cluster.json`, and see that the socket's folder is there and ours."""
        path = self._folder / "cluster.json"
        try:
            about = json.loads(path.read_text())
        except (OSError, ValueError):
            about = {"secret": secrets.token_hex(32), "id": secrets.token_hex(8), "socket": ""}
        about["socket"] = self._socket_folder(about["socket"])
        write_atomic(path, json.dumps(about), mode=PRIVATE)
        self._about = about
        owner = self.data / "securetag-id"
        if (self.data / "PG_VERSION").exists() and (not owner.exists() or owner.read_text() != about["id"]):
            # The home that this data belonged to is gone, and its secret with it (or initdb was
            # cut short). Keep one predecessor, so that a deleted home isn't a deleted database.
            shutil.rmtree(self._previous, ignore_errors=True)
            self.data.rename(self._previous)

    @property
    def _previous(self) -> Path:
        return self.data.with_name(self.data.name + ".previous")

    def _socket_folder(self, wanted: str) -> str:
        """The former folder if it can be had again, else a new one; 0700, owned by the server's account."""
        if wanted:
            with contextlib.suppress(OSError):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(wanted, 0o700)
                    os.chown(wanted, self._account.uid, self._account.gid)
                status = os.lstat(wanted)
                if status.st_uid == self._account.uid and status.st_mode & 0o177777 == 0o040700:
                    return wanted
        for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
            if len(os.fsencode(parent)) <= MAX_SOCKET_PARENT and self._reachable(Path(parent)):
                folder = tempfile.mkdtemp(prefix="securetag-pg-", dir=parent)
                os.chown(folder, self._account.uid, self._account.gid)
                return folder
        raise SettingsError(
            "no short folder is writable for PostgreSQL's socket", hint="Set TMPDIR to one, /tmp for example."
        )

    def _reachable(self, folder: Path) -> bool:
        """Can we write here, and the server's account pass through?"""
        if not os.access(folder, os.W_OK | os.X_OK):
            return False
        return not self._account.switch or all(
            parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)
        )

    def _run_as(self) -> dict[str, Any]:
        """Popen's arguments that turn root into the server's account, in a folder that it can enter."""
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        switched = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}
        return {"cwd": "/", "env": environment, **(switched if self._account.switch else {})}

    def _program(self, name: str) -> str:
        return str(binaries.install_folder(self._state) / "bin" / name)

    def _initialise(self) -> None:
        """`initdb` into a new folder; an unfinished one is thrown away first."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700, parents=True)
        os.chown(self.data, self._account.uid, self._account.gid)
        password = Path(self._about["socket"]) / "password"
        write_atomic(password, self._password(SUPERUSER), mode=PRIVATE)
        os.chown(password, self._account.uid, self._account.gid)
        arguments = [
            self._program("initdb"),
            "--pgdata",
            str(self.data),
            "--username",
            SUPERUSER,
            "--pwfile",
            str(password),
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]
        try:
            # Not a `ChildProcess`: the server's account may not be able to read our interpreter.
            done = subprocess.run(
                arguments, capture_output=True, timeout=START_S * 2, check=False, **self._run_as()
            )
        finally:
            password.unlink()
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise DatabaseUnavailableError(
                f"initdb failed: {done.stderr.decode(errors='replace').strip()[-500:]}",
                hint="See whether the disk is full or the folder is on a network share.",
            )
        (self.data / "securetag-id").write_text(self._about["id"])

    def _launch(self) -> None:
        """Run the server until it answers; a lock file left by kill -9 may need several tries."""
        logs = self.home / "logs"
        make_private_folder(logs)
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={self._about['socket']}",
            "unix_socket_permissions=0700",
            "shared_buffers=64MB",
            "io_method=sync",
            "timezone=UTC",
            "log_timezone=UTC",
            *([] if self._durable else _VOLATILE),
        ]
        arguments = [self._program("postgres"), "-D", str(self.data)]
        arguments += [part for setting in settings for part in ("-c", setting)]
        deadline = time.monotonic() + START_S
        while True:
            with (logs / "postgres.log").open("ab") as log:
                self._process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_die_with_parent(),  # noqa: PLW1509
                    **self._run_as(),
                )
            while self.running and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.03)
            if time.monotonic() >= deadline:
                raise DatabaseUnavailableError(
                    "the embedded PostgreSQL doesn't start", hint=f"Read {logs / 'postgres.log'}."
                )
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres", SUPERUSER), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end_stray(self) -> None:
        """Stop a server of this data folder whose launcher was killed: we hold the lock, so it is ours."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            for number in (signal.SIGINT, signal.SIGQUIT):
                deadline = time.monotonic() + STOP_S
                if self._serves(pid):
                    os.kill(pid, number)
                while self._serves(pid) and time.monotonic() < deadline:
                    time.sleep(0.05)

    def _serves(self, pid: int) -> bool:
        """Is this process a server of our data folder? False for a zombie, and where there is no /proc."""
        try:
            return os.fsencode(self.data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def _prepare(self) -> None:
        """Roles with their passwords, and our database. Idempotent."""
        with psycopg.connect(self.dsn("postgres", SUPERUSER), autocommit=True) as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if row is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"'.encode())
        url = sqlalchemy.make_url(self.dsn(DATABASE, SUPERUSER)).set(drivername="postgresql+psycopg")
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as session:
            roles.provision(session, {role: self._password(role) for role in (OWNER, API, HARVEST)})
            session.execute(sqlalchemy.text(f"ALTER DATABASE {DATABASE} OWNER TO {OWNER}"))
        engine.dispose()


def _die_with_parent() -> Callable[[], None] | None:
    """For Popen on Linux: end the server in an orderly way when we are killed.

    The kernel's promise is about the thread that forks, so elsewhere than in the main thread it
    would end the server with a short-lived thread: there `atexit`, and the next start, must do.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    return partial(die_with_parent, os.getpid(), signal.SIGINT)


def serve(cluster: Cluster, watch: int | None = None) -> None:
    """Run a cluster until SIGTERM or SIGINT, or until process `watch` ends; restart it when it dies."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    published = cluster.home / "run" / "postgres.json"

    def wanted() -> bool:
        return not ended.is_set() and (watch is None or _alive(watch))

    with cluster:
        try:
            while wanted():
                write_atomic(published, json.dumps(cluster.connection_info(), indent=2), mode=PRIVATE)
                while cluster.running and wanted():
                    ended.wait(0.2)
                if wanted():
                    print("PostgreSQL died; starting it again", file=sys.stderr, flush=True)
                    cluster.start()
        finally:
            published.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main() -> int:
    """`python -m securetag.db.embedded --home H [--watch PID] [--throwaway]`."""
    import argparse

    parser = argparse.ArgumentParser(description="Run the embedded PostgreSQL of a home.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--watch", type=int, metavar="PID", help="end when this process does")
    parser.add_argument(
        "--throwaway", action="store_true", help="for tests: no fsync, and everything is deleted at the end"
    )
    given = parser.parse_args()
    try:
        serve(Cluster(given.home, durable=not given.throwaway), given.watch)
    except SecuretagError as error:
        print(f"{error} {error.hint}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
