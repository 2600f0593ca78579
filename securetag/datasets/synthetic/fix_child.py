"""The isolated process that judges one fix: `python -m securetag.datasets.synthetic.fix_child`.

Reads a `Fix` from standard input, as JSON, and writes a `FixOutcome` to standard output. The code is a
model's, so nothing is taken on trust: the process has namespaces of its own (`securetag.system.isolation`),
ends where it hasn't, is confined as the oracle's processes are, and judges one fix alone. The function before
is run first.
"""

from __future__ import annotations

import os
import sys

import msgspec

from securetag.datasets.synthetic import meaning, stage
from securetag.datasets.synthetic.child import (
    Baselines,
    Handler,
    Trial,
    confine,
    first_function,
    judge,
)
from securetag.datasets.synthetic.fix_stage import FixStage, neutral
from securetag.datasets.synthetic.search import MIN_INPUTS
from securetag.datasets.synthetic.sinks import Sink, sink_named
from securetag.system.isolation import is_isolated

#: CPU seconds of one fix: 2,000 inputs take less than one of them.
CPU_SECONDS = 20
#: The error of a process that isn't isolated.
NOT_ISOLATED = "the process isn't isolated"


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """A function that does harm, and the text of its module after the fix."""

    before: Trial
    after: str


class FixOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What running a function before and after its fix showed."""

    #: Did an attack do harm before? Else nothing is shown.
    is_reproduced: bool = False
    #: Did no attack do harm after?
    is_safe: bool = False
    #: Do most honest requests that reached the sink do the same as before, and do their values arrive?
    works: bool = False
    #: Honest requests that reached the sink before (all, where none did), and of these such that mean the
    #: same after.
    honest: int = 0
    kept: int = 0
    #: Why it couldn't be judged.
    error: str = ""


#: What one request meant at the sink, and the texts that got there.
_Seen = tuple[list[meaning.Meaning], tuple[str, ...]]


def judge_fix(fix: Fix, world: stage.Stage, attempts: list[str]) -> FixOutcome:
    """Run a function and its fix on honest requests and on attacks.

    `attempts` gets what the sandbox forbade. Raises ValueError or SyntaxError where the text after the fix is
    no module with the function.
    """
    before = fix.before
    sink = sink_named(before.sink)
    baselines: Baselines = {}
    is_reproduced = judge(before, world, baselines).witness is not None
    original = _make_handler(before, world)
    requests = _list_requests(sink, original)
    expected = [_observe(original, world, *request) for request in requests]
    if not any(meanings for meanings, _ in expected):
        # It served no honest request, such as one whose check is the wrong way round: a fix serves them.
        plain = Handler(before.plain, first_function(before.plain), before.variable, world, before.framework)
        expected = [_observe(plain, world, *request) for request in requests]
    permitted = {neutral(meant) for meanings, _ in expected for meant in meanings} - {meaning.OUTSIDE}
    # What comes from a model runs last.
    attempts.clear()
    after = msgspec.structs.replace(before, code=fix.after, inputs=MIN_INPUTS)
    fixed = _make_handler(after, world)
    seen = [_observe(fixed, world, *request) for request in requests]
    is_safe = judge(after, world, baselines).witness is None
    honest = [(then, now) for then, now in zip(expected, seen, strict=True) if then[0]]
    kept = [now for _, now in honest if now[0] and permitted.issuperset(map(neutral, now[0]))]
    # A value that is no longer looked at is no fix.
    is_told_apart = len({then[1] for then, _ in honest}) > 1
    arrives = not is_told_apart or len({texts for _, texts in kept}) > 1
    return FixOutcome(
        is_reproduced=is_reproduced,
        is_safe=is_safe,
        works=2 * len(kept) > len(honest) and arrives,
        honest=len(honest),
        kept=len(kept),
        error=f"forbidden: {attempts[0]}" if attempts else "",
    )


def _make_handler(trial: Trial, world: stage.Stage) -> Handler:
    return Handler(trial.code, trial.entry, trial.variable, world, trial.framework, trial.source)


def _list_requests(sink: Sink, handler: Handler) -> list[tuple[str, str]]:
    """Return the honest requests: the guarded parameter, and every other one."""
    requests = [(text, text) for text in sink.benign]
    for request in requests:
        handler(*request)
    if handler.uses_others():
        requests += [(text, other) for text in sink.benign for other in sink.benign if other != text]
    return requests


def _observe(handler: Handler, world: stage.Stage, text: str, other: str) -> _Seen:
    meanings = list(handler(text, other))
    return meanings, tuple(world.recorder.texts)


def main() -> None:
    """Judge the fix on standard input."""
    fix = msgspec.json.decode(sys.stdin.buffer.read(), type=Fix)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    if not is_isolated():
        answers.write(msgspec.json.encode(FixOutcome(error=NOT_ISOLATED)))
        return
    os.dup2(2, 1)
    world = FixStage()
    attempts = confine(cpu_s=CPU_SECONDS)
    try:
        outcome = judge_fix(fix, world, attempts)
    except Exception as problem:
        outcome = FixOutcome(error=f"not a function: {type(problem).__name__}: {problem}"[:300])
    answers.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
