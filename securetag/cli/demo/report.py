"""`report.json`: what each stage did, cost and found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from securetag.cli.demo.meter import Meter
from securetag.records import JsonObject
from securetag.system.files import write_json


class Stage(msgspec.Struct):
    """One stage of the demo; `facts` is what its summary line is made of."""

    stage: str
    ok: bool = False
    #: Seconds.
    wall_s: float = 0.0
    #: User and system seconds over the process tree.
    cpu_s: float = 0.0
    facts: JsonObject = {}


class Report(msgspec.Struct):
    """The whole file; it is written after every stage, so a killed demo leaves what it knew."""

    size: str
    stages: list[Stage] = []
    #: Highest summed PSS over the process tree, MiB.
    peak_mb: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    published: bool = False
    #: The gate's, in words.
    reasons: list[str] = []

    def write(self, path: Path) -> None:
        write_json(path, msgspec.to_builtins(self), durable=False)


class Recorder:
    """Times stages with a Meter and keeps the report on disk."""

    def __init__(self, report: Report, path: Path, meter: Meter) -> None:
        self.report = report
        self._path = path
        self._meter = meter
        self._began = meter.read()

    @contextmanager
    def stage(self, name: str) -> Iterator[JsonObject]:
        """Run one stage; put what it found into the yielded facts."""
        stage = Stage(name)
        self.report.stages.append(stage)
        before = self._meter.read()
        try:
            yield stage.facts
            stage.ok = True
        except BaseException as error:
            stage.facts["error"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            after = self._meter.read()
            stage.wall_s = round(after.wall_s - before.wall_s, 2)
            stage.cpu_s = round(after.cpu_s - before.cpu_s, 2)
            self.report.wall_s = round(after.wall_s - self._began.wall_s, 2)
            self.report.cpu_s = round(after.cpu_s - self._began.cpu_s, 2)
            self.report.peak_mb = round(self._meter.peak_mb, 1)
            self.report.write(self._path)
