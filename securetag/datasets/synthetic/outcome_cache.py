"""Outcomes of the oracle, kept by the content of what was run.

A function is a deterministic program and its inputs are a function of its text, so the second build of a
release needn't run it. What could change an outcome is part of the key: the trial, the text of every module
that decides it (payloads, search, readers, locations), and the versions of the oracle, of Python and of the
libraries whose helpers the functions call.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgspec

from securetag.datasets.synthetic.child import Outcome, Trial

_LIBRARIES = ("django", "httpx", "jinja2", "markupsafe", "werkzeug")
#: Modules of this package that decide an outcome: all that the sandboxed process imports.
DECIDING = (
    "child",
    "delivery",
    "frameworks",
    "imports",
    "locations",
    "meaning",
    "payloads",
    "search",
    "sinks",
    "stage",
    "standins",
)
#: Seconds to wait for another build that writes.
_BUSY_SECONDS = 60.0
_STEP = 500


class OutcomeCache:
    """A file of outcomes. A file that can't be read or written costs time, never a build."""

    def __init__(self, path: Path, oracle_version: str) -> None:
        self._path = path
        self._version = oracle_version

    def load(self, trials: Sequence[Trial]) -> dict[int, Outcome]:
        """Return position → outcome of the trials that were run before."""
        numbers: dict[bytes, list[int]] = {}
        for number, trial in enumerate(trials):
            numbers.setdefault(self._key(trial), []).append(number)
        keys = list(numbers)
        outcomes: dict[int, Outcome] = {}
        try:
            with closing(self._open()) as connection:
                for start in range(0, len(keys), _STEP):
                    part = keys[start : start + _STEP]
                    marks = ",".join("?" * len(part))
                    select = f"SELECT key, outcome FROM outcome WHERE key IN ({marks})"
                    for key, encoded in connection.execute(select, part):
                        outcome = msgspec.msgpack.decode(encoded, type=Outcome)
                        outcomes.update(dict.fromkeys(numbers[key], outcome))
        except (sqlite3.Error, OSError, msgspec.DecodeError):
            return {}
        return outcomes

    def store(self, judged: Iterable[tuple[Trial, Outcome]]) -> None:
        """Keep outcomes; one with an error isn't kept, since a busy machine may have caused it."""
        rows = [
            (self._key(trial), msgspec.msgpack.encode(outcome))
            for trial, outcome in judged
            if not outcome.error
        ]
        try:
            with closing(self._open()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO outcome VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        connection.execute("CREATE TABLE IF NOT EXISTS outcome (key BLOB PRIMARY KEY, outcome BLOB NOT NULL)")
        return connection

    def _key(self, trial: Trial) -> bytes:
        return hashlib.sha256(msgspec.msgpack.encode([self._version, _environment(), trial])).digest()


@cache
def _environment() -> list[str]:
    return [sys.version, *(f"{name} {version(name)}" for name in _LIBRARIES), digest_modules()]


def digest_modules(folder: Path = Path(__file__).parent) -> str:
    """Return a digest of the text of the modules that decide an outcome. A comment changes it too."""
    texts = [(folder / f"{name}.py").read_bytes() for name in DECIDING]
    return hashlib.sha256(msgspec.msgpack.encode(texts)).hexdigest()
