"""Install the wheel of this checkout with each extra alone, and run what that extra promises.

    python tools/check_wheels.py [EXTRA …] [--folder DIR] [--keep]

Builds a wheel from a copy of the checkout. For each extra (default: all of `PROMISES`) it makes an empty
virtual environment, installs `wheel[extra]` under constraints.txt, and runs the extra's commands in an empty
folder. A command must do its work, or end with the two lines that its row expects; a traceback or an
unexpected missing package is a failure. Last, the base installation without any extra must name the missing
extra in two lines.

Not a part of CI: it needs a package registry, minutes, and for `training` gigabytes.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

import msgspec

from securetag.records import Facts, Record

CHECKOUT = Path(__file__).resolve().parent.parent
#: Seconds for one command, and for one installation.
COMMAND_SECONDS, INSTALL_SECONDS = 120, 1800
#: A port on which nothing listens: what a service says when its neighbor is away.
NOWHERE = "127.0.0.1:9"
COMMAND_LINE = "from securetag.cli import app; app()"
#: Stands for the folder of the release that the command before has built.
RELEASE = "{release}"


@dataclass(frozen=True)
class Promise:
    """A command that an extra promises."""

    #: Arguments after `python`.
    command: list[str]
    #: Part of the error with which it ends for want of a service or data; empty: it succeeds.
    refusal: str = ""
    #: A service runs until it is ended: seconds after which it must still be alive.
    alive_seconds: float = 0.0

    @property
    def label(self) -> str:
        """The command as a person would write it."""
        return shlex.join(self.command).replace(shlex.join(["-c", COMMAND_LINE]), "securetag")[:80]


def cli(*arguments: str, refusal: str = "") -> Promise:
    """Return the promise of a `securetag` command."""
    return Promise(["-c", COMMAND_LINE, *arguments], refusal)


#: Extra → what it promises when it is installed alone.
PROMISES: dict[str, list[Promise]] = {
    "api": [
        Promise(["-m", "securetag.api", "--port", "0"], alive_seconds=8),
        cli("db", "upgrade", refusal="PostgreSQL"),
        cli("tenant", "create", "acme", refusal="PostgreSQL"),
        cli("key", "create", "--tenant", "0" * 32, "--name", "ci", refusal="PostgreSQL"),
    ],
    "worker": [
        Promise(["-m", "securetag.worker", "--once"], refusal="semgrep"),
        Promise(["-c", "import securetag.worker.runner, securetag.worker.tasks.codeaudit"]),
        cli("scan", ".", refusal="no api is running"),
    ],
    "extractors": [
        cli("source", "list", "--json"),
        cli("source", "fetch", "handbook", "--json"),
        cli("source", "extract", "handbook", "--json"),
    ],
    "datasets": [
        cli("dataset", "list", "--json"),
        cli("dataset", "build", "--synthetic", "0", "--json"),
        cli("dataset", "show", RELEASE),
        cli("dataset", "verify", RELEASE, "--json"),
        cli("dataset", "diff", RELEASE, RELEASE, "--json"),
        cli("dataset", "export", RELEASE, "--format", "openai", "--out", "exported", "--json"),
        cli("dataset", "review", "status", "--json"),
        cli("trace", RELEASE, "--json"),
    ],
    "evaluation": [
        Promise(
            ["-c", "import securetag.evaluation.compare, securetag.evaluation.plots as p; p.loss_curve([])"]
        ),
        cli("model", "list", "--json"),
    ],
    "training": [
        Promise(["-m", "securetag.training.sft", "--help"]),
        cli("train", "securetag-embedded", "--dataset", "0" * 12, refusal="releases begin with"),
        Promise(["-c", "import torch, trl, peft, securetag.training.sft"]),
    ],
}
#: Without any extra: the command, and the extra that its error must name.
MISSING = {
    "db": [cli("db", "upgrade"), cli("tenant", "create", "acme")],
    "extractors": [cli("source", "extract", "handbook")],
    "datasets": [cli("dataset", "build")],
    "serving": [cli("model", "serve")],
}
HANDBOOK = (
    "# Handbook\n\n## Passwords\n\nStore passwords with a slow, salted hash such as Argon2id, and no other.\n"
)
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
    command = [str(python), "-m", "pip", "install", "-q", "-c", constraints, *what]
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
            f"A fault in {topic} is found late and costs more than the review of {topic} by a second person.",
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
    """Return the variables of an installation with one source and its extracted Records."""
    pages = folder / "pages"
    pages.mkdir(parents=True)
    (pages / "handbook.md").write_text(HANDBOOK)
    (folder / "catalog.yaml").write_text(CATALOG)
    records = folder / "data" / "records"
    records.mkdir(parents=True)
    (records / "handbook.jsonl").write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in make_records()))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "SECURETAG_HOME": str(folder / "home"),
        "SECURETAG_DATA": str(folder / "data"),
        "SECURETAG_CATALOG": str(folder / "catalog.yaml"),
        "SECURETAG_WORKER__API_URL": f"http://{NOWHERE}",
        "SECURETAG_WORKER__API_KEY": "stk_none",
        "DATABASE_URL": f"postgresql://nobody:nothing@{NOWHERE}/securetag",
    }


def keep(python: Path, promise: Promise, folder: Path, environment: dict[str, str]) -> str:
    """Run a promised command and return what is wrong; empty where the promise is kept."""
    release = next((folder / "data" / "releases").glob("[!.]*"), folder)
    command = [str(python), *(release.name if part == RELEASE else part for part in promise.command)]
    if promise.alive_seconds:
        with (folder / "service.log").open("wb") as log:
            service = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            service.wait(promise.alive_seconds)
        except subprocess.TimeoutExpired:
            return ""
        finally:
            service.kill()
            service.wait()
        return f"ended with {service.returncode}: {(folder / 'service.log').read_text()[-800:]}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if "Traceback" in done.stderr:
        return done.stderr[-800:]
    if promise.refusal:
        refused = done.returncode != 0 and promise.refusal.lower() in done.stderr.lower()
        return "" if refused else f"expected a refusal with {promise.refusal!r}: {done.stderr[-800:]}"
    return "" if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr[-800:]}"


def check_missing(
    python: Path, extra: str, promise: Promise, folder: Path, environment: dict[str, str]
) -> str:
    """Return what is wrong with the message for a missing `extra`."""
    done = subprocess.run(
        [str(python), *promise.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
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
            checks: list[tuple[str, str]] = []
            if extra == "none":
                checks += [
                    (promise.label, check_missing(python, name, promise, folder, environment))
                    for name, promises in MISSING.items()
                    for promise in promises
                ]
            else:
                checks += [
                    (promise.label, keep(python, promise, folder, environment)) for promise in PROMISES[extra]
                ]
            for command, fault in checks:
                print(f"{'✗' if fault else '✓'} {extra:<12} {command}", flush=True)
                if fault:
                    faults += 1
                    print("    " + fault.replace("\n", "\n    "), flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
