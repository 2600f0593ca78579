"""The whole mirror and a harvested database into a release, twice, as the command line does it.

Needs SECURETAG_MIRROR. The second build stands in another folder, another time zone, on another day and
under another PYTHONHASHSEED, over Records that were extracted anew and a database with ids of its own. It has
the first one's outcomes of the oracle, so that equal digests say nothing of executing functions again. A
third one has half the rows: how memory grows. RELEASE_KNOWLEDGE and RELEASE_SYNTHETIC set less than the full
size.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks.composition import describe_code
from benchmarks.figure import Figure
from benchmarks.release import database
from securetag.datasets.decontamination.suites import read_suite
from securetag.datasets.feedback.harvest import SOURCE as HARVEST_SOURCE
from securetag.datasets.licences import find_refused
from securetag.datasets.releases import baselines, checks
from securetag.datasets.releases.release import read_release
from securetag.db.embedded import Cluster
from securetag.db.engine import API, HARVEST, OWNER
from securetag.db.upgrade import upgrade
from securetag.errors import SettingsError
from securetag.extractors import catalog
from securetag.pipeline.harvest import FILE, harvest
from securetag.records import Example, Task
from securetag.settings import Settings, get_settings
from securetag.system.resources import process_tree, tree_memory_mb

KNOWLEDGE = int(os.environ.get("RELEASE_KNOWLEDGE", "60000"))
SYNTHETIC = int(os.environ.get("RELEASE_SYNTHETIC", "21000"))
MAX_COLD_CPU_S, MAX_WARM_CPU_S, MAX_MEMORY_MIB, MAX_GROWTH = 4_000, 900, 4_096, 1.3
#: An evaluation to keep out: the demo's application, whose ground truth judges its functions.
SUITE = Path(__file__).parents[2] / "securetag" / "examples" / "bodega"
#: What a name of a mode says that isn't a mistake in the guard.
_SOUND = {"sound", "combined", "extended"}
#: The command line on another day: ours read it from Python's clock, PostgreSQL keeps the real one.
_ELSEWHEN = """
import sys, time_machine
from datetime import datetime
time_machine.travel(datetime.fromisoformat(sys.argv.pop(1)), tick=True).start()
from securetag.cli import app
app()
"""


@dataclass(frozen=True)
class Spent:
    """What a command printed and cost, its children included."""

    printed: dict[str, Any]
    cpu_s: float
    #: Highest summed PSS of its process tree, sampled twice a second.
    peak_mb: float


def measure() -> Iterator[Figure]:
    """Extraction cold and warm; then two builds: size, variety, balance, cost, and one digest."""
    if get_settings().mirror is None:
        raise SettingsError("this area reads a mirror", hint="Set SECURETAG_MIRROR to its folder.")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory(suffix=" with blanks") as other:
        yield from _extraction(Path(one))
        first = _build(Path(one), {"TZ": "UTC", "PYTHONHASHSEED": "0"})
        yield from _costs(first, "the oracle's cache empty", MAX_COLD_CPU_S)
        _securetag(Path(other), {}, "source", "extract", "--all")
        (Path(other) / "home" / "work").mkdir(parents=True, exist_ok=True)
        shutil.copy(_cache(Path(one)), _cache(Path(other)))
        again = _build(Path(other), {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1"}, day="2028-02-29T23:59")
        yield from _costs(again, "the oracle's cache full", MAX_WARM_CPU_S)
        digests = {first.printed["digest"], again.printed["digest"]}
        yield Figure(
            figure="digests of two folders, days, zones, hash seeds and databases",
            value=len(digests),
            unit="",
            peer=first.printed["release"],
            bar="= 1",
            ok=len(digests) == 1,
        )
        half = _build(Path(other), {"TZ": "UTC", "PYTHONHASHSEED": "1"}, part=2)
        growth = again.peak_mb / half.peak_mb
        yield _most("… memory of twice the rows over that of half of them", growth, "", MAX_GROWTH)
        built_release = read_release(Path(one) / "data" / "releases" / first.printed["release"])
        yield from _rows([*built_release.train, *built_release.validation, *built_release.test])


def _extraction(home: Path) -> Iterator[Figure]:
    for name, bar in (("cold", 360.0), ("warm", 5.0)):
        spent = _securetag(home, {}, "source", "extract", "--all")
        yield _most(f"every source extracted, {name}", spent.cpu_s, "CPU-s", bar)
        if name == "cold":
            yield _most("… peak memory of the process tree", spent.peak_mb, "MiB", 1_536)


def _cache(home: Path) -> Path:
    return home / "home" / "work" / "oracle-outcomes.sqlite"


def _build(home: Path, environment: dict[str, str], *, day: str | None = None, part: int = 1) -> Spent:
    """A database of this home's own, its harvest, and the build beside it, of every `part`th of the rows."""
    cluster = Cluster(home / "database", durable=False)
    cluster.start()
    try:
        upgrade(cluster.dsn("securetag", OWNER))
        allowed = database.fill(cluster.dsn("securetag", API))
        url = cluster.dsn("securetag", HARVEST)
        settings = Settings(home=home / "home", data=home / "data", DATABASE_URL=url)
        taken = harvest(settings)
        assert taken.rows == allowed, f"{taken.rows} verdicts of {allowed} that may be harvested"
        return _securetag(
            home,
            {**environment, "DATABASE_URL": url},
            "dataset",
            "build",
            "--knowledge",
            str(KNOWLEDGE // part),
            "--synthetic",
            str(SYNTHETIC // part),
            "--profile",
            "full",
            "--suite",
            str(SUITE),
            *_sources(settings),
            day=day,
        )
    finally:
        cluster.destroy()


def _sources(settings: Settings) -> list[str]:
    """Options that name every source whose license may enter: those of tier `hf` only come by name."""
    known = catalog.load()
    names = sorted(path.stem for path in settings.records_dir.glob("*.jsonl") if path.name != FILE)
    kept = [
        name for name in names if name not in known or not find_refused({known[name].licence}, "internal")
    ]
    return [word for name in kept for word in ("--source", name)]


def _costs(build: Spent, kind: str, max_cpu_s: float) -> Iterator[Figure]:
    yield _most(f"a build with 24 tenants' verdicts, {kind}", build.cpu_s, "CPU-s", max_cpu_s)
    yield _most("… peak memory of the process tree", build.peak_mb, "MiB", MAX_MEMORY_MIB)


def _rows(rows: Sequence[Example]) -> Iterator[Figure]:
    knowledge = [row for row in rows if row.task is not Task.TRIAGE]
    yield _least("knowledge rows", len(knowledge), "", 30_000)
    each = Counter(origin.record_id for row in knowledge for origin in row.origins)
    yield _most("… most rows of a Record", max(each.values()), "", 6)
    distinct = len({row.messages[-1].content for row in knowledge}) / len(knowledge)
    yield _least("… distinct answers", round(distinct, 3), "share", 0.4)
    spanish = sum(row.lang == "es" for row in knowledge)
    yield Figure(figure="… in Spanish", value=spanish, unit="")
    triage_prompts = [row for row in rows if row.task is Task.TRIAGE]
    share = sum(row.lang == "es" for row in triage_prompts) / len(triage_prompts)
    yield _least("triage prompts in Spanish", round(share, 3), "share", 0.1)
    synthetic = [row for row in rows if row.construction is not None]
    yield _least("triage rows", sum(row.task is Task.TRIAGE for row in rows), "", 20_000)
    pairs = Counter(row.pair_id for row in synthetic)
    yield _least("… contrastive pairs", sum(n == 2 for n in pairs.values()), "", 8_000)
    hard = [row for row in synthetic if row.label == "true_positive" and _mode(row) not in _SOUND]
    yield _least("… true positives by a mistake in the guard", len(hard), "", 4_000)
    kinds = ", ".join(f"{name} {n:,}" for name, n in Counter(map(_mode, hard)).most_common())
    yield Figure(figure="… kinds of mistake", value=len(set(map(_mode, hard))), unit="", peer=kinds)
    yield from describe_code(synthetic)
    yield _most("words that tell the label", len(baselines.find_telltales(synthetic)), "words", 0)
    judged = sum(row.source == HARVEST_SOURCE for row in rows)
    yield Figure(figure="… that people judged", value=judged, unit="")
    for check in checks.run_checks(rows, purpose="internal", suites=[read_suite(SUITE)]):
        yield Figure(
            figure=f"check {check.name}", value=len(check.offending), unit="offend", bar="0", ok=check.passed
        )
    for axis, score in baselines.score_word_counts(rows).items():
        yield Figure(
            figure=f"TF-IDF, {axis}",
            value=score.accuracy,
            unit="accuracy",
            peer=f"majority {score.majority:.3f} of {score.n:,}",
        )
    for name, score in baselines.score_lookups(rows).items():
        gain = round(score.accuracy - score.majority, 3)
        yield Figure(
            figure=f"look-up by {name}",
            value=score.accuracy,
            unit="accuracy",
            peer=f"majority {score.majority:.3f}",
            bar="within .05",
            ok=gain <= 0.05,
        )


def _mode(row: Example) -> str:
    return row.construction.shape.rsplit("/", 1)[-1] if row.construction else ""


def _most(figure: str, value: float, unit: str, bar: float) -> Figure:
    return Figure(figure=figure, value=round(value, 3), unit=unit, bar=f"≤ {bar:g}", ok=value <= bar)


def _least(figure: str, value: float, unit: str, bar: float) -> Figure:
    return Figure(figure=figure, value=value, unit=unit, bar=f"≥ {bar:g}", ok=value >= bar)


def _securetag(home: Path, environment: dict[str, str], *arguments: str, day: str | None = None) -> Spent:
    """Run the command line with a home of its own, on a day. Raises CalledProcessError."""
    before, peak = resource.getrusage(resource.RUSAGE_CHILDREN), 0.0
    when = [str(Path(sys.executable).with_name("securetag"))]
    if day is not None:
        when = [sys.executable, "-c", _ELSEWHEN, day]
    command = [*when, *arguments, "--json"]
    with (home / "stdout").open("wb+") as out:
        running = subprocess.Popen(
            command,
            stdout=out,
            env={
                **os.environ,
                "SECURETAG_HOME": str(home / "home"),
                "SECURETAG_DATA": str(home / "data"),
                **environment,
            },
        )
        while running.poll() is None:
            peak = max(peak, tree_memory_mb(process_tree(psutil.Process(running.pid))))
            time.sleep(0.5)
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = json.loads((home / "stdout").read_bytes())
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(printed=msgspec.to_builtins(printed), cpu_s=cpu_s, peak_mb=peak)
