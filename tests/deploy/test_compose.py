"""`deploy/compose.yaml`: what it promises, and its services started as processes.

No Docker engine is needed. `compose_processes` says what stands for what only a container has; the model is a
fake (`fake_ollama`), so what it answers shows that the worker reaches a model, and nothing of the model.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from compose_processes import COMPOSE, ComposeProcesses, compose_processes, load

from securetag.db.binaries import install_folder
from securetag.serving import registry
from securetag.settings import PREFIX, Settings, list_variables
from securetag.system.secret_files import SUFFIX, list_secrets

CHECKOUT = COMPOSE.parents[1]
#: Variables of the images that aren't ours, of Dagster and of Python.
OTHERS = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"},
    "ollama": {"OLLAMA_MODELS", "BASE_MODEL"},
    "dagster": {"DAGSTER_HOME"},
    "proxy": {"DOMAIN", "XDG_CONFIG_HOME", "XDG_DATA_HOME"},
    "": {"HOME"},
}
SERVICES = {
    name: service
    for profile in ("cpu", "gpu", "web", "backup")
    for name, service in load(profile)["services"].items()
}
#: An exact version: at least two numbers, no `latest` and no range.
PINNED = re.compile(r"[\w./-]+:\d+\.\d+[\w.-]*")

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def dockerfile(service: dict[str, Any]) -> Path | None:
    build = service.get("build")
    return None if build is None else COMPOSE.parent / build["context"] / build["dockerfile"]


# What the file promises


@every_service
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] not in ("", "root", "0", "0:0")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "network_mode", "devices"} & set(service)
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}


@every_service
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    once = service["restart"] in ("no", "on-failure:3")
    assert once or service["healthcheck"]["test"][0] == "CMD"
    assert once or service["restart"] == "unless-stopped"


@every_service
def test_every_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert PINNED.fullmatch(image)
    file = dockerfile(SERVICES[name])
    if image.startswith("securetag/"):
        version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
        assert image.rsplit(":", 1)[1] == version, "a release has images of its version"
    if file is not None:
        bases = re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)
        assert bases
        assert [base for base in bases if not PINNED.fullmatch(base)] == []


def test_each_image_is_built_by_exactly_one_dockerfile() -> None:
    built: dict[str, set[Path]] = {}
    for service in SERVICES.values():
        file = dockerfile(service)
        if file is not None:
            built.setdefault(service["image"], set()).add(file.resolve())
    used = {service["image"] for service in SERVICES.values() if service["image"].startswith("securetag/")}
    assert set(built) == used
    assert sorted(file for files in built.values() for file in files) == sorted(
        (COMPOSE.parent / "images").resolve().iterdir()
    )


def test_the_worker_has_no_route_to_the_database_and_none_to_the_internet() -> None:
    networks = load("cpu")["networks"]
    reach = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert {name for name, joined in reach.items() if joined & reach["worker"]} == {
        "worker",
        "worker-web",
        "api",
        "ollama",
        "ollama-gpu",
    }
    assert reach["worker"] & reach["postgres"] == set()
    assert reach["worker-web"] & reach["postgres"] == set()
    assert reach["worker-web"] == {"worker-net", "outside"}
    assert networks["worker-net"]["internal"] is True
    assert "securetag-net" in reach["postgres"]
    worker = SERVICES["worker"]
    assert "secrets" not in worker
    assert not [
        variable for variable in worker["environment"] if "DATABASE" in variable or "PEPPER" in variable
    ]


def test_only_the_proxy_is_reachable_from_other_machines() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert {
        name for name, published in ports.items() if not all("127.0.0.1:" in port for port in published)
    } == {"proxy"}


@every_service
def test_every_variable_is_a_setting(name: str) -> None:
    settings = {
        *list_variables(Settings, PREFIX),
        *(secret + SUFFIX for secret, _ in list_secrets(Settings, PREFIX)),
    }
    others = set().union(*(names for part, names in OTHERS.items() if part in SERVICES[name]["image"]))
    assert set(SERVICES[name].get("environment", {})) - settings - others == set()


def test_every_secret_is_a_file_that_make_secrets_makes(tmp_path: Path) -> None:
    secrets = load("cpu")["secrets"]
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(secrets)
    first, again = (
        subprocess.run(
            [COMPOSE.parent / "make-secrets.sh", tmp_path], capture_output=True, text=True, check=True
        )
        for _ in range(2)
    )
    assert {path.name for path in tmp_path.iterdir()} == set(secrets)
    assert first.stdout.count("made") == again.stdout.count("kept") == len(secrets)
    assert tmp_path.stat().st_mode & 0o077 == 0
    values = {path.read_text() for path in tmp_path.iterdir()}
    assert len(values) == len(secrets)
    assert min(map(len, values)) >= 64
    assert not any(value in COMPOSE.read_text() for value in values)


@pytest.mark.parametrize("name", ["worker", "worker-web"])
def test_a_worker_reads_the_registry_that_dagster_writes_and_cant_change_it(name: str) -> None:
    def mounts(service: str) -> dict[str, str]:
        """Volume → where it is, and how."""
        return dict(mount.split(":", 1) for mount in SERVICES[service]["volumes"] if mount[0] != ".")

    file = Path(SERVICES[name]["environment"]["SECURETAG_TRIAGE__REGISTRY"])
    assert mounts(name)["models"] == f"{file.parent}:ro"
    home = Path(SERVICES["dagster-code"]["environment"]["SECURETAG_HOME"])
    assert Settings(home=home).models_dir / file.name == Path(mounts("dagster-code")["models"], registry.FILE)


def test_volumes_and_networks_are_all_declared_and_used() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    volumes = {
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if mount[0] != "."
    }
    assert volumes == set(compose["volumes"])
    assert {"database", "artifacts", "models", "dagster"} <= volumes


# Its services as processes


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProcesses]:
    with compose_processes(tmp_path_factory.mktemp("compose")) as processes:
        yield processes


@pytest.fixture(scope="module")
def key(running: ComposeProcesses) -> str:
    """A key, made as docs/deployment.md says: by commands in the api's container."""
    tenant = running.run("api", ["securetag", "tenant", "create", "e2e"])
    assert tenant.returncode == 0, tenant.stderr
    scopes = [word for scope in ("read", "scan", "feedback", "admin") for word in ("--scope", scope)]
    create = ["securetag", "key", "create", "--tenant", tenant.stdout.strip(), "--name", "e2e", *scopes]
    made = running.run("api", create)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def walk(running: ComposeProcesses, url: str, key: str, **variables: str) -> str:
    environment = {"PATH": f"{install_folder() / 'bin'}:{os.environ['PATH']}"} | variables
    done = subprocess.run(
        [COMPOSE.parent / "e2e.sh", url, key],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text + running.log("worker")[-3000:]
    return text


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(900)
def test_the_services_walk_from_upload_to_harvest(running: ComposeProcesses, key: str) -> None:
    url = f"http://127.0.0.1:{running.ports['8080']}"
    dagster = f"http://127.0.0.1:{running.ports['3000']}"
    text = walk(
        running, url, key, DATABASE_URL=running.secret("migrations_database_url"), DAGSTER_URL=dagster
    )
    assert "0 skipped" in text
    assert "by securetag-base" in text


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
def test_the_api_and_dagster_are_no_superusers(running: ComposeProcesses) -> None:
    for name, user in (("api_database_url", "securetag_api"), ("dagster_database_url", "securetag_dagster")):
        with psycopg.connect(running.secret(name), autocommit=True) as connection:
            assert connection.execute(
                "SELECT session_user, rolsuper FROM pg_roles WHERE rolname = session_user"
            ).fetchall() == [(user, False)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET ROLE securetag_owner")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE TABLE public.ours (id int)")
    with psycopg.connect(running.secret("dagster_database_url")) as connection:
        schemas = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'event_logs'"
        ).fetchall()
    assert schemas == [("dagster",)]


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
def test_a_second_start_repeats_what_runs_once(running: ComposeProcesses) -> None:
    file = Path(running.paths("worker-key")["/var/lib/securetag-keys"]) / "worker"
    before = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    for name in ("migrations", "worker-key"):
        done = running.run(name)
        assert done.returncode == 0, done.stderr
    assert file.read_text() == before


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
def test_a_backup_has_the_rows_and_the_uploads(running: ComposeProcesses) -> None:
    running.services["backup"] = SERVICES["backup"]
    done = running.run("backup")
    assert done.returncode == 0, done.stderr
    folder = Path(running.paths("backup")["/backups"]) / "now"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest
    uploads = [path.read_bytes()[:2] for path in folder.rglob("*") if path.is_file()]
    assert b"PK" in uploads, "the archive that was uploaded"


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
def test_the_proxy_serves_the_api_by_tls_and_hides_its_counts(
    running: ComposeProcesses, key: str, tmp_path: Path
) -> None:
    if not running.has_caddy:
        pytest.skip("caddy isn't on PATH: the TLS proxy isn't tested")
    authority = Path(running.paths("proxy")["/data"]) / "caddy/pki/authorities/local/root.crt"
    url = f"https://localhost:{running.ports['8443']}"
    text = walk(running, url, key, E2E_CA_FILE=str(authority))
    assert f"{url}: from upload to harvest" in text
    curl = [
        "curl",
        "--silent",
        "--cacert",
        str(authority),
        "--output",
        os.devnull,
        "--write-out",
        "%{http_code}",
    ]
    done = subprocess.run([*curl, f"{url}/metrics"], capture_output=True, text=True, check=True)
    assert done.stdout == "404"
    (tmp_path / "app.py").write_text("import os, sys\nprint('nothing to find')\n")
    scan = subprocess.run(
        [running.folder / "bin" / "securetag", "scan", tmp_path, "--api", url, "--key", key, "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SSL_CERT_FILE": str(authority)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert scan.returncode == 0, scan.stderr
    plain = httpx.get(f"http://localhost:{running.ports['8000']}/healthz", follow_redirects=False)
    assert plain.status_code == 308


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(600)
def test_every_service_ends_within_its_grace_period(running: ComposeProcesses) -> None:
    """The last test of these services."""
    stayed = [name for name in running.running if not SERVICES[name]["restart"].startswith("on-failure")]
    assert stayed
    codes = running.stop()
    assert [name for name in stayed if codes[name] is None] == []
