"""Real PostgreSQL for tests: one cluster a run, one database a module.

Fixtures:

- `pg_cluster` (session): a `securetag.db.embedded.Cluster` that is attached, not owned: `.dsn(database,
  role)`, `.create_database(name, template=TEMPLATE)`, `.drop_database(name)`. All xdist workers of a
  run share it, so nobody stops or kills it; a chaos test makes a `Cluster` of its own.
- `pg_database` (module): a fresh, migrated database with `.name`, `.dsn_api`, `.dsn_owner` and
  `.dsn_harvest`, strings that `securetag.db.engine.create_engine` takes. None is a superuser's.
- `db` (function, asynchronous): an AsyncEngine as `securetag_api` on `pg_database`, or with the marker
  `clean_database` on that.
- `clean_database` (function): like `pg_database`, for one test that counts rows.

Asynchronous tests and fixtures run under anyio's plugin: `pytestmark = pytest.mark.anyio`.
"""

from __future__ import annotations

import fcntl
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.embedded import Cluster
from securetag.db.engine import API, HARVEST, OWNER, create_engine
from securetag.db.upgrade import upgrade

#: A migrated database that others are copied from; nobody connects to it.
TEMPLATE = "securetag_template"
START_S = 90.0


@dataclass(frozen=True)
class Database:
    """One migrated database."""

    name: str
    dsn_api: str
    dsn_owner: str
    dsn_harvest: str


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def pg_cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The run's cluster. The first who asks starts it; it ends with the pytest process that began the run."""
    base, watched = tmp_path_factory.getbasetemp(), os.getpid()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base, watched = base.parent, os.getppid()
    home = base / "postgres"
    cluster = Cluster(home, durable=False)
    with _alone(base / "postgres.lock"):
        ready = base / "postgres.ready"
        if not ready.exists():
            _spawn(home, watched)
            cluster.attach()
            cluster.create_database(TEMPLATE)
            upgrade(cluster.dsn(TEMPLATE, OWNER))
            ready.touch()
    cluster.attach()
    return cluster


@pytest.fixture(scope="module")
def pg_database(pg_cluster: Cluster) -> Iterator[Database]:
    with _database(pg_cluster) as database:
        yield database


@pytest.fixture
def clean_database(pg_cluster: Cluster) -> Iterator[Database]:
    with _database(pg_cluster) as database:
        yield database


@pytest.fixture
async def db(request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    is_clean = request.node.get_closest_marker("clean_database") is not None
    database: Database = request.getfixturevalue("clean_database" if is_clean else "pg_database")
    engine = create_engine(database.dsn_api)
    yield engine
    await engine.dispose()


@contextmanager
def _database(cluster: Cluster) -> Iterator[Database]:
    name = f"test_{uuid4().hex[:12]}"
    cluster.create_database(name, template=TEMPLATE)
    yield Database(name, cluster.dsn(name, API), cluster.dsn(name, OWNER), cluster.dsn(name, HARVEST))
    # A connection that was canceled while it was made is closed when it is collected. Until then PostgreSQL
    # waits for its password, 60 s at most, and drops and makes no database meanwhile.
    gc.collect()
    cluster.drop_database(name)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _spawn(home: Path, watched: int) -> None:
    """A launcher in a session of its own, that deletes its cluster when `watched` is gone."""
    home.mkdir(parents=True, exist_ok=True)
    log = str(home / "launcher.log")
    arguments = [sys.executable, "-m", "securetag.db.embedded", "--home", str(home)]
    arguments += ["--throwaway", "--watch", str(watched)]
    # Not a Popen: the worker that starts it may end before the others are done with it.
    os.posix_spawn(
        sys.executable,
        arguments,
        os.environ,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    deadline = time.monotonic() + START_S
    while not (home / "run" / "postgres.json").exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL didn't start: {Path(log).read_text()[-2000:]}")
        time.sleep(0.05)
