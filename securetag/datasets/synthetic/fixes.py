"""Run code that a model wrote in the place of a composed function, isolated from this machine.

Each fix has a process of its own in namespaces of its own: no network, a file system that can only be read,
nothing of the installation's home and of the user's keys. Where the kernel refuses that, no fix is run. Code
that reaches for the interpreter's own parts is refused before: it could write its own outcome.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from securetag.datasets.synthetic.fix_child import CPU_SECONDS, Fix, FixOutcome
from securetag.scanning.process import PERSONAL
from securetag.settings import cores
from securetag.system.isolation import probe
from securetag.system.processes import ChildProcess, Limits

__all__ = ["Fix", "FixOutcome", "find_reach", "run_fixes"]

#: Seconds of wall time after which a process is ended. It is ended for CPU time long before, unless it waits.
HANG_SECONDS = 300.0
_MEMORY_BYTES = 1 << 30
#: Threads and processes of one fix; NumPy and its like aren't there.
_PROCESSES = 16
_OUTPUT_BYTES = 1 << 16
#: Attributes that lead from a value to the interpreter's frames and code.
_INSPECTION = ("gi_", "cr_", "ag_", "tb_", "f_", "co_")
_REACHING = frozenset(
    {"getattr", "setattr", "delattr", "vars", "globals", "locals", "compile", "breakpoint", "input", "help"}
    | {"memoryview", "dir"}
)


def find_reach(code: str) -> set[str]:
    """Return the names in `code` that reach for the interpreter's own parts. Raises SyntaxError.

    No fence: namespaces are that. It keeps code from writing its own outcome in an ordinary way.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr.startswith(("_", *_INSPECTION)):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and (node.id in _REACHING or node.id.startswith("__")):
            names.add(node.id)
    return names - {"__name__"}


def run_fixes(fixes: Sequence[Fix], *, hidden: Sequence[Path] = ()) -> list[FixOutcome]:
    """Judge each fix in a process of its own; what couldn't be judged has an error.

    `hidden`: files and folders that no process sees, beside those of the user that hold keys.
    """
    if why := probe():
        return [FixOutcome(error=f"not isolated: {why}") for _ in fixes]
    with ThreadPoolExecutor(cores(), thread_name_prefix="fix") as pool:
        return list(pool.map(lambda fix: _run(fix, hidden), fixes))


def _run(fix: Fix, hidden: Sequence[Path]) -> FixOutcome:
    try:
        reach = find_reach(fix.after) - find_reach(fix.before.code)
    except (SyntaxError, ValueError, RecursionError) as problem:
        return FixOutcome(error=f"not a function: {type(problem).__name__}")
    if reach:
        return FixOutcome(error=f"refused: {min(reach)}")
    with tempfile.TemporaryDirectory(prefix="securetag-fix-") as name, tempfile.TemporaryFile() as given:
        folder = Path(name)
        given.write(msgspec.json.encode(fix))
        given.seek(0)
        limits = Limits(
            memory_bytes=_MEMORY_BYTES,
            cpu_seconds=CPU_SECONDS,
            confined=True,
            writable=(folder,),
            readable=(Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[3]),
            hidden=(*hidden, *(Path.home() / each for each in PERSONAL)),
            processes=_PROCESSES,
        )
        with ChildProcess(
            [sys.executable, "-I", "-B", "-m", "securetag.datasets.synthetic.fix_child"],
            stdin=given,
            stdout=subprocess.PIPE,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            limits=limits,
        ) as child:
            assert child.stdout is not None
            if not child.wait(HANG_SECONDS):
                return FixOutcome(error="no answer")
            os.set_blocking(child.stdout.fileno(), False)
            written = child.stdout.read(_OUTPUT_BYTES) or b""
            code = child.end()
    try:
        return msgspec.json.decode(written, type=FixOutcome)
    except msgspec.DecodeError:
        return FixOutcome(error=f"ended its process with {code}")
