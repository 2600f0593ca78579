"""A backup of a whole installation, and what a restore makes of it and of damaged ones."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4, uuid5

import httpx
import msgspec
import psycopg
import pytest
from api_process import running
from every_table import NAMESPACE, fill_every_table, read_every_table
from made_once import run_folder
from postgres import TEMPLATE
from pydantic import SecretStr
from typer.testing import CliRunner

from securetag.cli import app
from securetag.datasets.releases.release import verify_release
from securetag.db import upgrade
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import OWNER, create_engine
from securetag.db.repositories.keys import create_key
from securetag.errors import ConflictError, InputError, ModelUnavailableError, NotFoundError
from securetag.pipeline.backup import restore, write_backup
from securetag.pipeline.backup.manifest import FILE, Manifest
from securetag.records import JsonObject
from securetag.serving import base
from securetag.serving.client import RuntimeClient
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import LOCAL_PEPPER, Settings, get_settings
from securetag.storage import storage_for
from securetag.system.hashing import hash_file
from tests.plugins.synthetic_release import synthetic_release

MODEL_ID = "ab" * 32

pytestmark = pytest.mark.system


def quiet(_what: str, _done: int) -> None:
    pass


@pytest.fixture
def install(pg_cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Settings]]:
    """(name) → the settings of an installation of its own, with an empty database."""
    databases = []

    def make(name: str, *, template: str | None = TEMPLATE) -> Settings:
        database = f"{name}_{uuid4().hex[:8]}"
        pg_cluster.create_database(database, template=template)
        databases.append(database)
        url = pg_cluster.dsn(database, OWNER)
        return Settings(
            home=tmp_path / name / "home", data=tmp_path / name / "data", database_url=SecretStr(url)
        )

    yield make
    for database in databases:
        pg_cluster.drop_database(database)


def superuser(settings: Settings, pg_cluster: Cluster) -> str:
    assert settings.database_url is not None
    return pg_cluster.dsn(settings.database_url.get_secret_value().rsplit("/", 1)[1].split("?")[0], SUPERUSER)


def add_files(settings: Settings, releases: Path) -> None:
    """A release, a registered model that an alias means, and a receipt of an erasure."""
    shutil.copytree(releases, settings.releases_dir)
    (settings.releases_dir / ".draft-1").mkdir()
    (settings.releases_dir / ".draft-1" / "half.jsonl").write_text("half")
    settings.models_dir.mkdir(parents=True)
    file = settings.models_dir / "tuned.gguf"
    file.write_bytes(os.urandom(100_000))
    registry = Registry(settings.models_dir)
    registry.add(
        ModelEntry(
            model_id=MODEL_ID,
            path=file.name,
            file_sha256=hash_file(file),
            base="b",
            quantisation="Q8_0",
            licence="Apache-2.0",
        )
    )
    registry.publish("securetag-v1", MODEL_ID)
    (settings.data / "erasures").mkdir()
    (settings.data / "erasures" / "x.json").write_text("{}")


@pytest.fixture
def source(
    install: Callable[..., Settings], pg_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """An installation with rows in every table, two stored files, a release and a model."""
    settings = install("source")
    dsn = superuser(settings, pg_cluster)
    fill_every_table(dsn)
    storage = storage_for(settings.storage)
    with psycopg.connect(dsn) as connection:
        for table, key in (("codeaudit_upload", "t/uploads/a.zip"), ("artifact", "t/artifacts/b.json")):
            numbered = f"SELECT id, row_number() OVER () AS number FROM securetag.{table}"
            connection.execute(
                f"UPDATE securetag.{table} SET storage_key = %s || number FROM ({numbered}) AS numbered"
                f" WHERE numbered.id = {table}.id".encode(),
                [key],
            )
            for number in (1, 2):
                storage.put(f"{key}{number}", [key.encode(), os.urandom(50_000)], limit=100_000)
    storage.put("t/orphan", [b"no row names this"], limit=100)
    summary = synthetic_release(run_folder(tmp_path_factory))
    add_files(settings, Path(summary.path).parent)
    return settings


def files_of(settings: Settings) -> dict[str, str]:
    """Path → digest of every file that isn't hidden, in the places that a backup covers."""
    roots = (
        settings.home / "artifacts",
        settings.models_dir,
        settings.releases_dir,
        settings.data / "erasures",
    )
    return {
        f"{root.name}/{path.relative_to(root)}": hash_file(path)
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


def next_event(dsn: str) -> int:
    """The next id that the database itself counts."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT nextval('securetag.task_event_id_seq')").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    "template", [pytest.param(None, id="no schema"), pytest.param(TEMPLATE, id="migrated")]
)
def test_a_restore_brings_everything_back(
    source: Settings,
    install: Callable[..., Settings],
    pg_cluster: Cluster,
    tmp_path: Path,
    template: str | None,
) -> None:
    made = write_backup(source, tmp_path / "backup", quiet)
    assert (made.missing, made.outside) == ([], [])
    assert set(made.rows) == set(read_every_table(superuser(source, pg_cluster)))
    assert all(made.rows.values()), made.rows
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700

    target = install("target", template=template)
    assert restore(target, tmp_path / "backup", quiet).rows == made.rows

    before, after = superuser(source, pg_cluster), superuser(target, pg_cluster)
    assert read_every_table(after) == read_every_table(before)
    restored = files_of(target)
    assert restored == {name: sha for name, sha in files_of(source).items() if not name.endswith("orphan")}
    for release in target.releases_dir.iterdir():
        verify_release(release)
    assert Registry(target.models_dir).resolve("securetag-v1").model_id == MODEL_ID
    with psycopg.connect(after) as connection:
        unforced = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'securetag'::regnamespace AND relrowsecurity"
            " AND NOT relforcerowsecurity"
        ).fetchall()
        disabled = connection.execute("SELECT tgname FROM pg_trigger WHERE tgenabled <> 'O'").fetchall()
    assert (unforced, disabled) == ([], [])
    assert next_event(before) == next_event(after)
    assert upgrade.current_revision(after) == upgrade.head_revision()

    with pytest.raises(ConflictError, match="isn't empty"):
        restore(target, tmp_path / "backup", quiet)


def test_an_older_backup_is_restored_and_upgraded(
    install: Callable[..., Settings], pg_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written by a version whose newest revision is the one before ours."""
    older = install("older")
    dsn = superuser(older, pg_cluster)
    fill_every_table(dsn)
    assert older.database_url is not None
    with monkeypatch.context() as patch:
        upgrade.downgrade(older.database_url.get_secret_value(), "-1")
        revision = upgrade.current_revision(dsn)
        patch.setattr(upgrade, "head_revision", lambda: revision)
        made = write_backup(older, tmp_path / "backup", quiet)
    assert made.revision == revision != upgrade.head_revision()
    target = install("target")
    restore(target, tmp_path / "backup", quiet)
    after = superuser(target, pg_cluster)
    assert upgrade.current_revision(after) == upgrade.head_revision()
    rows = {name: len(rows) for name, rows in read_every_table(after).items()}
    # The newest revision makes a state of every finding.
    assert rows == made.rows | {"finding_state": made.rows["finding"]}


def test_a_backup_is_one_moment_while_rows_are_added(
    source: Settings, pg_cluster: Cluster, tmp_path: Path
) -> None:
    """Each table read adds a row to every table that is read later: none of them is in the backup."""
    dsn = superuser(source, pg_cluster)
    before = {name: len(rows) for name, rows in read_every_table(dsn).items()}
    tables = []

    def progress(what: str, _done: int) -> None:
        if what.startswith("database: ") and what not in tables:
            tables.append(what)
            with psycopg.connect(dsn) as connection:
                connection.execute(
                    "INSERT INTO securetag.tenant (id, name) VALUES (gen_random_uuid(), gen_random_uuid())"
                )
                connection.execute(
                    "INSERT INTO securetag.worker_heartbeat (worker_id) VALUES (gen_random_uuid())"
                )

    assert write_backup(source, tmp_path / "backup", progress).rows == before
    assert len(tables) > 10


def test_an_artifact_that_is_gone_is_named(source: Settings, tmp_path: Path) -> None:
    storage_for(source.storage).delete("t/artifacts/b.json1")
    assert write_backup(source, tmp_path / "backup", quiet).missing == ["t/artifacts/b.json1"]


def change(backup: Path, **fields: object) -> None:
    """Write the manifest with other fields, and a seal that fits."""
    content = msgspec.json.decode((backup / FILE).read_bytes(), type=Manifest)
    (backup / FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(content, **fields).sealed()))


def add_name(backup: Path, name: str) -> None:
    """Have the manifest name a file."""
    content = msgspec.json.decode((backup / FILE).read_bytes(), type=Manifest)
    change(backup, files=content.files | {name: content.files["models/tuned.gguf"]})


def change_words(backup: Path) -> None:
    text = (backup / FILE).read_text()
    (backup / FILE).write_text(text.replace("models/tuned.gguf", "models/other.gguf"))


def replace_by_link(path: Path) -> None:
    elsewhere = path.parents[1].parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def change_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte": (lambda backup: change_byte(backup / "models/tuned.gguf"), "other bytes"),
    "a shorter file": (lambda backup: os.truncate(backup / "database/finding.copy", 10), "other bytes"),
    "a missing file": (lambda backup: (backup / "database/task.copy").unlink(), "task.copy is missing"),
    "a file too many": (lambda backup: (backup / "models/more.gguf").touch(), "doesn't belong to it"),
    "a changed manifest": (change_words, "was changed"),
    "half a manifest": (lambda backup: os.truncate(backup / FILE, 100), "can't be read"),
    "a path that leads out": (lambda backup: add_name(backup, "artifacts/../../outside"), "outside"),
    "an absolute path": (lambda backup: add_name(backup, "/etc/passwd"), "outside"),
    "a part that is none": (lambda backup: add_name(backup, "run/services.json"), "outside"),
    "a link for a file": (lambda backup: replace_by_link(backup / "models/tuned.gguf"), "is a link"),
    "a link for a folder": (lambda backup: replace_by_link(backup / "artifacts/t"), "is a link"),
    "a pipe": (lambda backup: os.mkfifo(backup / "models/pipe"), "special file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_refused_and_nothing_is_written(
    damage: str, source: Settings, install: Callable[..., Settings], pg_cluster: Cluster, tmp_path: Path
) -> None:
    write_backup(source, tmp_path / "backup", quiet)
    work, message = DAMAGES[damage]
    work(tmp_path / "backup")
    target = install("target")
    with pytest.raises(InputError, match=f"damaged: .*{message}") as refused:
        restore(target, tmp_path / "backup", quiet)
    assert refused.value.hint
    assert not target.home.exists()
    assert not target.data.exists()
    assert not any(read_every_table(superuser(target, pg_cluster)).values())
    assert not (tmp_path / "outside").exists()


def test_a_newer_backup_is_refused(
    source: Settings, install: Callable[..., Settings], tmp_path: Path
) -> None:
    write_backup(source, tmp_path / "backup", quiet)
    change(tmp_path / "backup", revision="9999_future", code_version="9.9.0")
    with pytest.raises(ConflictError, match="9999_future is newer") as refused:
        restore(install("target"), tmp_path / "backup", quiet)
    assert "9.9.0" in refused.value.hint


@pytest.mark.parametrize("what", ["a tenant", "an artifact", "a release", "a model"])
def test_an_installation_that_is_not_empty_is_refused(
    what: str, source: Settings, install: Callable[..., Settings], pg_cluster: Cluster, tmp_path: Path
) -> None:
    write_backup(source, tmp_path / "backup", quiet)
    target = install("target")
    if what == "a tenant":
        with psycopg.connect(superuser(target, pg_cluster)) as connection:
            connection.execute("INSERT INTO securetag.tenant (id, name) VALUES (gen_random_uuid(), 'x')")
    elif what == "an artifact":
        storage_for(target.storage).put("t/other", [b"x"], limit=1)
    else:
        folder = target.releases_dir / "0123456789ab" if what == "a release" else target.models_dir
        folder.mkdir(parents=True)
        (folder / "registry.json").write_text("{}")
    with pytest.raises(ConflictError, match="isn't empty"):
        restore(target, tmp_path / "backup", quiet)
    assert not (target.models_dir / "tuned.gguf").exists()


def test_a_restore_that_was_cut_short_goes_on(
    source: Settings, install: Callable[..., Settings], pg_cluster: Cluster, tmp_path: Path
) -> None:
    write_backup(source, tmp_path / "backup", quiet)
    target = install("target")

    def cut(what: str, _done: int) -> None:
        if what == "database: finding":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(target, tmp_path / "backup", cut)
    assert not any(read_every_table(superuser(target, pg_cluster)).values())
    restore(target, tmp_path / "backup", quiet)
    assert read_every_table(superuser(target, pg_cluster)) == read_every_table(superuser(source, pg_cluster))


def test_a_killed_backup_is_no_backup(source: Settings, tmp_path: Path) -> None:
    """Killed at ten moments; then one is written whole, and the drafts of the others are gone."""
    assert source.database_url is not None
    environment = os.environ | {
        "SECURETAG_HOME": str(source.home),
        "SECURETAG_DATA": str(source.data),
        "DATABASE_URL": source.database_url.get_secret_value(),
    }
    folder = tmp_path / "backups"
    command = [
        sys.executable,
        "-c",
        "from securetag.cli import app; app()",
        "backup",
        str(folder / "b"),
        "--json",
    ]
    drafts, chance = 0, random.Random(7)
    for _ in range(10):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while not folder.exists() or len(list(folder.iterdir())) == 0:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (folder / "b").exists():  # it had ended
            shutil.rmtree(folder / "b")
        drafts += len(list(folder.glob(".draft-*")))
        with pytest.raises(NotFoundError):
            restore(source, folder / "b", quiet)
    assert drafts, "no kill came in time to mean anything"
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert json.loads(done.stdout)["rows"]["finding"] == 2
    assert [path.name for path in folder.iterdir()] == ["b"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def enter(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Settings:
    monkeypatch.setenv("SECURETAG_HOME", str(folder / "home"))
    monkeypatch.setenv("SECURETAG_DATA", str(folder / "data"))
    get_settings.cache_clear()
    return get_settings()


def make_key(dsn: str) -> str:
    """A key of the tenant whose rows `fill_every_table` made first."""

    async def make() -> str:
        engine = create_engine(dsn)
        try:
            return await create_key(engine, uuid5(NAMESPACE, "tenant 0"), "reader", ["read"], LOCAL_PEPPER)
        finally:
            await engine.dispose()

    return asyncio.run(make())


def served_model(home: Path) -> str:
    """The id of the model that the runtime of a home serves."""
    command = [sys.executable, "-m", "securetag.serving.runtime", "--home", str(home), "--slots", "1"]
    process = subprocess.Popen(command)
    client = RuntimeClient(None, run_dir=home / "run", aliases=["securetag-v1"])
    deadline = time.monotonic() + 120
    try:
        while True:
            try:
                return client.resolve().model_id
            except ModelUnavailableError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        client.close()
        process.terminate()
        process.wait()


def answers(settings: Settings, dsn: str, key: str) -> JsonObject:
    """What the api of an installation answers about findings."""
    with running(settings.home, dsn) as (_, url):
        answer = httpx.get(f"{url}/findings", headers={"X-API-Key": key}, trust_env=False)
    assert answer.status_code == 200, answer.text
    findings: JsonObject = answer.json()
    assert findings["items"]
    return findings


@pytest.mark.slow
@pytest.mark.sockets
def test_an_empty_folder_becomes_the_same_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No DATABASE_URL and nothing running: a home's own cluster is started for both commands."""
    settings, other = enter(monkeypatch, tmp_path / "one"), tmp_path / "other"
    refused = CliRunner().invoke(app, ["backup", str(tmp_path / "backup")])
    assert refused.exit_code == 1
    assert not (settings.home / "pg").exists()
    add_files(settings, Path(synthetic_release(run_folder(tmp_path_factory)).path).parent)
    file = settings.models_dir / "base.gguf"
    shutil.copy(base.locate_base(), file)
    registry = Registry(settings.models_dir)
    registry.add(msgspec.structs.replace(base.entry(), model_id="cd" * 32, path=file.name))
    registry.publish("securetag-v1", "cd" * 32)
    try:
        with Cluster(settings.home) as cluster:
            upgrade.upgrade(cluster.dsn(role=OWNER))
            fill_every_table(cluster.dsn(role=SUPERUSER))
            key = make_key(cluster.dsn())
            findings = answers(settings, cluster.dsn(), key)
            # While the cluster runs, as under `securetag up`, its published address is taken.
            published = settings.run_dir / "postgres.json"
            published.write_text(json.dumps(cluster.connection_info()))
            json.loads(run("backup", str(tmp_path / "while-it-runs"), "--json"))
        made = json.loads(run("backup", str(tmp_path / "backup"), "--json"))
        target = enter(monkeypatch, other)
        assert json.loads(run("restore", str(tmp_path / "backup"), "--json"))["rows"] == made["rows"]
        with Cluster(target.home) as cluster:
            assert answers(target, cluster.dsn(), key) == findings
        releases = [verify_release(release).digest for release in sorted(target.releases_dir.iterdir())]
        assert releases == [
            verify_release(release).digest for release in sorted(settings.releases_dir.glob("[!.]*"))
        ]
        assert served_model(target.home) == "cd" * 32
    finally:
        for home in (settings.home, other / "home"):
            Cluster(home).destroy()
