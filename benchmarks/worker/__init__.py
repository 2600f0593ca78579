"""What a scan costs beside its scanner: CPU-seconds of api, worker and command line over bare Semgrep.

The code is that of Django as installed here: ten files, and as many as make 50,000 lines. Semgrep gets the
same files and jobs in both cases; bare, it gets the rules once merged, as a scan runs them, and once as they
are written. The bars are on the merged ones: what merging saves hides no cost of ours. No model answers.
The services are warm: they start once, while each scan costs what is measured. PostgreSQL's own time isn't
counted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
import psutil

from benchmarks.figure import Figure

FEW_FILES = 10
MANY_LINES = 50_000
#: CPU-seconds of a whole scan to those of Semgrep alone.
FEW_BAR, MANY_BAR = 2.5, 1.1
#: CPU-seconds of a whole scan of MANY_LINES with all default engines.
ENGINES_BAR_S = 60.0
#: Of one core, while `securetag scan` waits.
POLLING_BAR = 0.01
POLLING_S = 30.0
_ROOT = Path(django.__file__).parent


@dataclass(frozen=True)
class _Cost:
    """CPU-seconds by process."""

    command_line: float
    api: float
    worker: float

    @property
    def total(self) -> float:
        return self.command_line + self.api + self.worker

    def describe(self) -> str:
        return f"cli {self.command_line:.2f}, api {self.api:.2f}, worker {self.worker:.2f}"


def measure() -> Iterator[Figure]:
    """Whole scans to bare Semgrep, all default engines, and what waiting costs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few, few_lines = _copy_code(folder / "few", files=FEW_FILES)
        many, many_lines = _copy_code(folder / "many", lines=MANY_LINES)
        with _service(folder / "home", "semgrep") as service:
            service.scan(few)  # the first one pays for imports and caches
            cases = ((few, few_lines, FEW_BAR, "ten files"), (many, many_lines, MANY_BAR, "50,000 lines"))
            for code, lines, bar, name in cases:
                single, merged = write_packs(folder / "pack")
                cost = service.scan(code)
                bare = _scan_bare(code, merged)
                ratio = cost.total / bare
                yield Figure(
                    figure=f"whole scan to bare Semgrep with merged rules, {name}",
                    value=round(ratio, 2),
                    unit="×",
                    peer=f"{lines:,} lines, Semgrep {bare:.2f} s; {cost.describe()}",
                    bar=f"≤ {bar:g}",
                    ok=ratio <= bar,
                )
                bare = _scan_bare(code, single)
                yield Figure(
                    figure=f"whole scan to bare Semgrep with single rules, {name}",
                    value=round(cost.total / bare, 2),
                    unit="×",
                    peer=f"Semgrep {bare:.2f} s; no bar",
                )
            share = service.wait_for_nothing(few)
            yield Figure(
                figure="waiting for a scan",
                value=round(share * 100, 2),
                unit="% of a core",
                bar=f"≤ {POLLING_BAR:.0%}",
                ok=share <= POLLING_BAR,
            )
        with _service(folder / "home-all", None) as service:
            service.scan(few)
            cost = service.scan(many)
            yield Figure(
                figure="all default engines, 50,000 lines",
                value=round(cost.total, 1),
                unit="CPU-s",
                peer=f"{many_lines:,} lines; {cost.describe()}",
                bar=f"≤ {ENGINES_BAR_S:g}",
                ok=cost.total <= ENGINES_BAR_S,
            )


def _copy_code(target: Path, *, files: int | None = None, lines: int = 0) -> tuple[Path, int]:
    """Copy Python files of Django, in the order of paths, until there are enough; return folder and lines."""
    count = copied = 0
    for path in sorted(_ROOT.rglob("*.py")):
        if "/locale/" in path.as_posix() or path.stat().st_size < 2_000:
            continue
        if copied == files or (files is None and count >= lines):
            break
        place = target / path.relative_to(_ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        count += path.read_bytes().count(b"\n")
        copied += 1
    return target, count


def write_packs(folder: Path) -> tuple[Path, Path]:
    """Write the pack of our rules as they are written, and the one merged as a scan runs it; return both."""
    from securetag.rules import compiled_pack
    from securetag.scanning.batches import Rules

    single = compiled_pack(folder)
    return single, Rules(single).write_merged(folder / "merged-rules.json")


def _scan_bare(code: Path, pack: Path) -> float:
    """CPU-seconds of Semgrep itself with a pack, and our memory settings, on the same files."""
    from securetag.scanning.batches import memory_environment
    from securetag.scanning.semgrep import SemgrepScanner
    from securetag.settings import cores, get_settings

    settings = get_settings()
    scanner = SemgrepScanner(settings)
    environment = {**os.environ, **memory_environment(settings.semgrep.jobs or cores())}
    command = scanner.command(code, scanner.limits)
    command[command.index("--config") + 1] = str(pack)
    before = os.times()
    subprocess.run(
        command, cwd=code, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@dataclass(frozen=True)
class _Service:
    """An api and a worker that run, and how to reach them."""

    url: str
    key: str
    home: Path
    api: psutil.Process
    worker: psutil.Process

    def scan(self, code: Path) -> _Cost:
        """Scan a folder by the command line."""
        api, worker, before = _spent(self.api), _spent(self.worker), os.times()
        done = subprocess.run(self._command(code), capture_output=True, text=True, check=False)
        after = os.times()
        if done.returncode != 0 or json.loads(done.stdout)["state"] != "completed":
            raise RuntimeError(f"the scan failed: {done.stderr[-2_000:]}")
        client = after.children_user + after.children_system - before.children_user - before.children_system
        time.sleep(1)  # a heartbeat and the worker's next claim are part of it
        return _Cost(client, _spent(self.api) - api, _spent(self.worker) - worker)

    def wait_for_nothing(self, code: Path) -> float:
        """Share of a core that `securetag scan` uses while the worker stands still."""
        self.worker.suspend()
        command = subprocess.Popen(self._command(code), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process = psutil.Process(command.pid)
            time.sleep(POLLING_S / 3)  # imports and upload
            before, began = _spent(process), time.monotonic()
            time.sleep(POLLING_S)
            return (_spent(process) - before) / (time.monotonic() - began)
        finally:
            self.worker.resume()
            command.terminate()
            command.wait(60)

    def _command(self, code: Path) -> list[str]:
        program = "from securetag.cli import app; app()"
        where = ["--api", self.url, "--key", self.key]
        return [sys.executable, "-c", program, "scan", str(code), "--json", *where]


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


@contextmanager
def _service(home: Path, scanner: str | None) -> Iterator[_Service]:
    """An embedded PostgreSQL, an api and a worker with one scanner, or with the default ones."""
    from securetag.cli.services.platform import USER_SCOPES, WORKER_SCOPES, Platform, make_tenant
    from securetag.cli.services.supervise import Services
    from securetag.db.embedded import Cluster
    from securetag.settings import get_settings

    home.mkdir(parents=True)
    os.environ["SECURETAG_HOME"] = str(home)
    os.environ.pop("DATABASE_URL", None)
    get_settings.cache_clear()
    settings = get_settings()
    environment = {"SECURETAG_HOME": str(home)}
    if scanner is not None:
        environment["SECURETAG_WORKER__SCANNERS"] = json.dumps([scanner])
    try:
        with Services(home, environment) as services:
            platform = Platform(settings, services)
            platform.postgres()
            platform.migrate()
            platform.api(0)
            user = make_tenant(settings, "local", USER_SCOPES)
            platform.worker(make_tenant(settings, "operator", WORKER_SCOPES).key)
            running = {item.name: psutil.Process(item.process.pid) for item in services.running()}
            yield _Service(platform.api_url, user.key, home, running["api"], running["worker"])
    finally:
        Cluster(home).destroy()
