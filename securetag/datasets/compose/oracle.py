"""Labels from execution: run composed functions in the sandbox, read off what they are worth.

`ORACLE_VERSION` stands in every composed row and in the release's digest. It is the digest of the
modules that decide a label, so that a changed payload or reader can't pass for the same oracle.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from securetag.datasets.compose.child import Outcome, Trial
from securetag.errors import ToolError
from securetag.records import Label

#: Seconds after which a batch of functions is given up: a thousand take about two.
TIMEOUT_S = 900.0
_DECIDING = ("child.py", "meaning.py", "payloads.py", "stage.py", "sinks.py")


@lru_cache(maxsize=1)
def oracle_version() -> str:
    """`oracle-` and 12 hex digits over the modules that decide a label."""
    here = Path(__file__).parent
    parts = [(here / name).read_bytes().replace(b"\r\n", b"\n") for name in _DECIDING]
    return "oracle-" + hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def run(trials: Sequence[Trial]) -> list[Outcome]:
    """Run every trial in one sandboxed process; outcomes come in the trials' order.

    Raises ToolError when the process dies or exceeds its time.
    """
    if not trials:
        return []
    with tempfile.TemporaryDirectory(prefix="securetag-oracle-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", "-m", "securetag.datasets.compose.child"],
                input=msgspec.json.encode(list(trials)), capture_output=True, cwd=folder,
                timeout=TIMEOUT_S, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"the execution oracle took more than {TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ToolError(f"the execution oracle ended with {done.returncode}: {' '.join(last)}")
    outcomes = msgspec.json.decode(done.stdout, type=list[Outcome])
    if len(outcomes) != len(trials):
        raise ToolError("the execution oracle answered for another number of functions")
    return outcomes


def label(outcome: Outcome) -> Label | None:
    """true_positive where a payload did harm, false_positive where only honest values got through.

    None where the sink can't be reached by honest values either, or the function couldn't be judged:
    such a function shows nothing.
    """
    if outcome.error:
        return None
    if outcome.witness is not None:
        return "true_positive"
    return "false_positive" if outcome.honest else None
