"""A folder, a disk, a file of settings or a package that is missing: two lines each, no traceback."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cli.dataset.build import Lang, Profile, Purpose
from securetag.cli.dataset.export import FORMAT_NAMES
from securetag.cli.failures import explain
from securetag.cli.key import Scope
from securetag.cli.scan.options import Lang as ScanLang
from securetag.cli.source.list import Tier
from securetag.settings import get_settings
from securetag.system.extras import EXTRAS

CHECKOUT = Path(__file__).parents[2]
TENANT = "01920000-aaaa-7000-8000-000000000001"
RECIPE = str(next(CHECKOUT.glob("**/recipes/securetag-embedded.yaml")))
#: A way to call each command; `{out}` is a place to write to.
COMMANDS = [
    "up --port 0 --no-dagster",
    "demo --size smoke",
    "doctor",
    "api --port 0",
    "worker --once",
    "dagster code",
    "dagster web",
    "dagster daemon",
    "scan {project}",
    "web scan https://shop.example",
    "web target add https://shop.example",
    "web target verify https://shop.example",
    "web target list",
    "web target remove https://shop.example",
    "trace abcdef",
    "triage {project}/a.py --source {project}",
    "findings list",
    f"findings show {TENANT}",
    f"findings assign {TENANT} --to ana",
    f"findings note {TENANT} seen",
    f"findings suppress {TENANT} --reason none",
    f"feedback {TENANT} --verdict true_positive",
    "findings import {project}/a.py --project shop",
    "suppressions list",
    "suppressions add --project shop --path old --reason none",
    f"suppressions remove {TENANT}",
    f"train {RECIPE} --dataset 0123456789ab",
    "evaluate securetag-v1 --against securetag-base --dataset 0123456789ab",
    "publish 0123456789ab",
    "source list",
    "source fetch mitre-cwe-4.14",
    "source extract mitre-cwe-4.14",
    "source preview {project}",
    "mirror create {project}",
    "dataset build --synthetic 4 --knowledge 0 --no-harvest",
    "dataset list",
    "dataset show 0123456789ab",
    "dataset verify 0123456789ab",
    "dataset diff 0123456789ab 0123456789ab",
    "dataset export 0123456789ab --format openai --out {out}/export",
    "dataset realism 0123456789ab --against {project}",
    "dataset push 0123456789ab acme/rows --dry-run",
    "dataset erase --source mitre-cwe",
    "dataset teach",
    "dataset review export 0123456789ab --out {out}/review",
    "dataset review import {out}/records.json",
    "dataset review status",
    "model list",
    "model calibrate securetag-base --dataset 0123456789ab",
    "model card securetag-base",
    "model compare securetag-base securetag-v1",
    "model score --dataset 0123456789ab --suites {project}",
    "model sync",
    "model serve",
    "model rollback",
    "tenant create acme",
    "tenant policy acme local",
    "tenant list",
    "tenant suspend acme",
    "tenant resume acme",
    "tenant delete acme --yes",
    f"delete scan {TENANT} --yes",
    f"key create --tenant {TENANT} --name ci",
    "key keep {out}/key --tenant acme",
    "key register {out}/records.json --tenant acme",
    "key peppers",
    "key list",
    f"key revoke {TENANT}",
    f"key suspend {TENANT}",
    f"key resume {TENANT}",
    f"key rotate {TENANT}",
    "consent show",
    "consent grant",
    "consent withdraw",
    "webhooks list",
    "webhooks add https://ci.example.org/",
    f"webhooks rotate {TENANT}",
    f"webhooks enable {TENANT}",
    f"webhooks disable {TENANT}",
    f"webhooks remove {TENANT}",
    f"webhooks deliveries {TENANT}",
    f"webhooks redeliver {TENANT} {TENANT}",
    "db upgrade",
    "backup {out}/backup",
    "restore {out}/backup",
    "cloud deploy shop",
    "cloud rollback shop",
    "cloud destroy shop",
    "cloud list",
    "cloud reap",
]
#: These start services where only the data folder is broken.
SERVICES = ("up", "demo", "model serve", "dagster")

Place = Literal["home", "data"]


def names_of(group: TyperGroup, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names_of(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def test_every_command_is_tried() -> None:
    names = list(names_of(typer.main.get_command(app)))
    assert len(names) > 20
    for name in names:
        assert any(f"{line} ".startswith(f"{name} ") for line in COMMANDS), name


@contextmanager
def restored_signals() -> Iterator[None]:
    """Services take over the signals of their process, and make what they write private."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    umask = os.umask(0o022)
    os.umask(umask)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        os.umask(umask)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def full_disk() -> Iterator[None]:
    """Every write to a file fails, as on a full disk, without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def call(line: str, tmp_path: Path, out: Path) -> tuple[int, str]:
    """Run a command; returns its exit code and standard error. Raises what it raises."""
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "a.py").touch()
    get_settings.cache_clear()
    with restored_signals():
        result = CliRunner().invoke(app, line.format(out=out, project=project).split())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def is_two_lines(stderr: str) -> bool:
    lines = stderr.splitlines()
    return len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("  next: ")


@pytest.mark.system
@pytest.mark.parametrize("place", get_args(Place))
@pytest.mark.parametrize("kind", ["a file", "below /proc"])
def test_a_folder_that_cannot_be_made_gives_two_lines(
    kind: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    bad = str(blocker) if kind == "a file" else "/proc/securetag"
    failed = []
    for line in COMMANDS:
        if place == "data" and line.startswith(SERVICES):
            continue
        for name in ("home", "data"):
            value = bad if place == name else str(tmp_path / name)
            monkeypatch.setenv(f"SECURETAG_{name.upper()}", value)
        code, stderr = call(line, tmp_path, Path(bad))
        assert code == 0 or line == "doctor" or is_two_lines(stderr), (line, stderr)
        failed += [line] if code and bad in stderr else []
    assert failed
    expected = "up" if place == "home" else "source extract"
    assert any(line.startswith(expected) for line in failed)


@pytest.mark.system
def test_a_full_disk_gives_two_lines(tmp_path: Path) -> None:
    failed = []
    for line in COMMANDS:
        with full_disk():
            code, stderr = call(line, tmp_path, tmp_path)
        assert code == 0 or line == "doctor" or is_two_lines(stderr), (line, stderr)
        failed += [line.split()[0] for text in ("larger than is allowed", "no space") if text in stderr]
    assert {"up", "demo", "source", "dataset", "model"} <= set(failed)


def test_permissions_bind_and_the_setting_is_named(tmp_path: Path) -> None:
    """Root isn't bound by permission bits, unless it gives that capability away."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    bound = (
        ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    )
    if bound and not shutil.which("setpriv"):
        pytest.skip("root without setpriv can't give its privileges away")
    done = subprocess.run(
        [
            *bound,
            sys.executable,
            "-c",
            "from securetag.cli import app; app()",
            "source",
            "extract",
            "mitre-cwe-4.14",
        ],
        env=os.environ | {"SECURETAG_DATA": str(folder / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {folder / 'data'}: permission denied",
        f"  next: Let this user write there, or name another folder; SECURETAG_DATA is {folder / 'data'}.",
    ]


def test_a_malformed_file_of_settings_gives_two_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "securetag.toml").write_text("[api\nport = 1\n")
    for line in COMMANDS:
        if line.startswith("source preview"):
            continue  # no setting changes what it shows
        code, stderr = call(line, tmp_path, tmp_path)
        assert code == (2 if line.startswith(("scan", "web scan", "triage", "findings import")) else 1), line
        assert is_two_lines(stderr), (line, stderr)
        assert "securetag.toml" in stderr, (line, stderr)


#: In a process of its own: what the rest of this one has imported can't be taken away.
WITHOUT_EXTRAS = """
import sys
from securetag.system.extras import EXTRAS
for module in EXTRAS:
    sys.modules[module] = None
from typer.testing import CliRunner
from securetag.cli import app
for line in sys.stdin.read().splitlines():
    result = CliRunner().invoke(app, line.split())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    print(line, result.exit_code, result.stderr.replace(chr(10), " | "), sep=" => ")
"""


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    lines = [line.format(out=tmp_path, project=tmp_path) for line in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(" => ", 1) for line in done.stdout.splitlines() if " => " in line)
    assert set(rows) == set(lines)
    for command, extra in {
        "up": "db",
        "demo": "worker",
        "tenant create": "db",
        "db upgrade": "db",
        "dataset build": "datasets",
        "model serve": "serving",
        "api": "api",
        "worker": "worker",
        "dagster code": "dagster",
        "source extract": "extractors",
    }.items():
        (row,) = (row for line, row in rows.items() if line.startswith(command + " ") or line == command)
        assert re.fullmatch(
            rf"1 => error: .* \| +next: pip install 'securetag\[{extra}(,pdf)?\]' \| ", row
        ), row


def imported() -> dict[str, str]:
    """Top-level package → a module of ours that imports it."""
    found = {}
    for path in (CHECKOUT / "securetag").rglob("*.py"):
        if "cases" in path.parts or "examples" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {name.partition(".")[0]: str(path) for name in names}
    return found


def extras() -> dict[str, set[str]]:
    """Extra → names of the distributions that it lists; "" for the base installation."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: {re.split(r"[\[<>=~! ]", line)[0].lower().replace("_", "-") for line in lines}
        for extra, lines in listed.items()
    }


def test_every_package_that_an_extra_brings_is_in_the_table() -> None:
    ours = extras()
    owners = packages_distributions()
    for package, where in imported().items():
        if package in sys.stdlib_module_names or package in ("securetag", "__future__"):
            continue
        names = {name.lower().replace("_", "-") for name in owners.get(package, [])}
        if names & ours[""] or package in ("anyio", "click", "httpcore", "pydantic_core"):
            # typer, httpx and pydantic bring these
            continue
        assert package in EXTRAS, (package, where)
        direct = {extra for extra, lines in ours.items() if names & lines}
        assert EXTRAS[package] in direct or not direct, (package, EXTRAS[package], direct)


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    assert explain(ModuleNotFoundError("No module named 'securetag.typo'", name="securetag.typo")) is None
    assert explain(OSError("no number")) is None
    assert explain(ValueError("x")) is None


def test_choices_are_those_of_the_modules_that_use_them() -> None:
    from securetag.datasets.export import FORMATS
    from securetag.datasets.licences import Purpose as LicencePurpose
    from securetag.db.models import SCOPES
    from securetag.extractors.catalog import Source
    from securetag.records import Lang as RecordLang
    from securetag.triage import Profile as TriageProfile

    assert sorted(FORMAT_NAMES) == FORMATS.names()
    assert set(get_args(Purpose)) == set(get_args(LicencePurpose))
    assert set(get_args(Profile)) == set(get_args(TriageProfile))
    assert set(get_args(Lang)) == set(get_args(ScanLang)) == set(get_args(RecordLang))
    assert {scope.value for scope in Scope} == set(SCOPES)
    assert {tier.value for tier in Tier} == set(get_args(get_type_hints(Source)["tier"]))


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        ("dataset build", "--profile", get_args(Profile)),
        ("dataset build", "--purpose", get_args(Purpose)),
        ("dataset build", "--lang", get_args(Lang)),
        ("scan", "--lang", get_args(Lang)),
        ("dataset export 0123456789ab --out x", "--format", FORMAT_NAMES),
        (f"key create --tenant {TENANT} --name ci", "--scope", [scope.value for scope in Scope]),
        ("source list", "--tier", [tier.value for tier in Tier]),
        ("demo", "--size", ["smoke", "quick", "full"]),
    ],
    ids=["profile", "purpose", "lang of rows", "lang of a scan", "format", "scope", "tier", "size"],
)
def test_a_choice_lists_its_values(command: str, option: str, values: list[str]) -> None:
    words = command.split()
    shown = CliRunner().invoke(app, [*words[: 1 if words[0] == "scan" else 2], "--help"]).output
    refused = CliRunner().invoke(app, [*words, option, "no-such-value"])
    assert refused.exit_code == 2
    for value in values:
        assert value in shown
        assert f"'{value}'" in refused.stderr


def test_no_hint_that_reaches_the_command_line_speaks_of_requests() -> None:
    """Hints of code that only the api runs may; the rest must say what to type."""
    spoken = re.compile(r"Idempotency-Key|X-API-Key|\b(GET|POST|PUT|DELETE) /|`make ")
    for path in (CHECKOUT / "securetag").rglob("*.py"):
        below = path.relative_to(CHECKOUT / "securetag")
        if below.parts[0] in ("api", "worker", "rules") or below.parts[:2] == ("db", "repositories"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                assert not spoken.search(ast.unparse(node.value)), f"{path}:{node.value.lineno}"
