"""The sandboxed process that runs composed functions: `python -m securetag.datasets.compose.child`.

Reads a msgspec-JSON list of `Trial` from standard input and writes the list of `Outcome` to
standard output. Before the first function is compiled the process limits its own memory, CPU time,
files and file sizes, and an audit hook ends it on any attempt to open a socket, start a process or
write a file. The functions come from our own tables; the sandbox is for the day when one of them
does something that its author didn't foresee.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn

import msgspec

from securetag.datasets.compose import meaning, stage
from securetag.datasets.compose.meaning import OUTSIDE, Meaning

#: CPU seconds that one function may take over all its inputs. One takes about a millisecond.
FUNCTION_S = 2.0
#: Values that the untouched parameter holds in turn, so that a guard on it can be satisfied.
MAX_OTHERS = 2


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One function to run, with its inputs."""

    code: str
    variable: str
    #: The function without any guard, which fixes what honest values mean at this sink.
    plain: str
    payloads: list[str]
    benign: list[str]
    has_other: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What running a function showed."""

    #: Honest values that reached the sink.
    honest: int
    #: Payloads run, up to the first that changed the sink's meaning.
    tried: int
    #: That payload; None where all of them left the meaning alone.
    witness: str | None = None
    #: Why the function couldn't be judged; empty when it could.
    error: str = ""


class TimeUp(BaseException):
    """The function's CPU seconds are spent. Not an Exception: no handler in a function may catch it."""


def _time_up(_: int, __: FrameType | None) -> NoReturn:
    raise TimeUp


def confine(*, memory_mb: int = 1024, cpu_s: int = 600) -> list[str]:
    """Limit this process for good, and forbid what no composed function needs.

    Returns the list to which every forbidden attempt is added: a function may catch the error.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    forbidden = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove",
                 "os.rename", "os.mkdir", "os.rmdir", "os.putenv", "os.kill", "shutil.", "ctypes.",
                 "urllib.Request", "open")  # fmt: skip

    attempts: list[str] = []

    def watch(event: str, about: tuple[object, ...]) -> None:
        # The compiler looks for the file that a syntax error names; there is none of this name.
        if event == "open" and about[0] in {"<unknown>", "<composed>"}:
            return
        if event.startswith(forbidden):
            attempts.append(event)
            raise PermissionError(f"{event} is forbidden in the sandbox")

    sys.addaudithook(watch)
    return attempts


class Handler:
    """A composed function on a stage, ready to be called with one input after another."""

    def __init__(self, text: str, variable: str, world: stage.Stage) -> None:
        header = text.split("\n", 1)[0]
        names = world.names()
        exec(compile(text, "<composed>", "exec"), names)
        self._handler = names[header[header.index("def ") + 4 : header.index("(")]]
        self._given, self._variable, self._world = world.arguments(header), variable, world

    def __call__(self, payload: str, other: str) -> list[Meaning]:
        """What one input means at the sink, once for each time that it is reached."""
        world = self._world
        world.reset(self._variable, payload, other)
        try:
            result = self._handler(*self._given)
            if isinstance(result, Coroutine):
                result = _await(result)
            world.recorder.answered(result)
            if world.response.text is not None:
                world.recorder.answered(stage.Answer(meaning.page, world.response.text))
        except stage.AnswerRaised as answered:
            world.recorder.answered(answered.answer)
        except Exception:
            # A handler that fails answers 500; what it reached before that still counts.
            return world.recorder.meanings
        return world.recorder.meanings


def _await(coroutine: Coroutine[Any, Any, Any]) -> object:
    """The value of a coroutine that waits for nothing outside."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise RuntimeError("a composed handler waited for something")


def judge(trial: Trial, world: stage.Stage, baselines: dict[str, frozenset[Meaning]]) -> Outcome:
    """Run a trial's function on all its inputs."""
    handler = Handler(trial.code, trial.variable, world)
    if trial.plain not in baselines:
        plain = Handler(trial.plain, trial.variable, world)
        baselines[trial.plain] = frozenset(found for text in trial.benign for found in plain(text, text))
    others = trial.benign[:MAX_OTHERS] if trial.has_other else trial.benign[:1]
    honest = [handler(text, other) for text in trial.benign for other in others]
    # A guard may reshape what honest values mean (a number for a name); that is no injection.
    known = baselines[trial.plain].union(*map(frozenset, honest)) - {OUTSIDE}
    for tried, payload in enumerate(trial.payloads, 1):
        for other in others:
            if any(found not in known for found in handler(payload, other)):
                return Outcome(honest=sum(map(bool, honest)), tried=tried, witness=payload)
    return Outcome(honest=sum(map(bool, honest)), tried=len(trial.payloads))


def _judged(
    trial: Trial, world: stage.Stage, baselines: dict[str, frozenset[Meaning]], attempts: list[str]
) -> Outcome:
    """`judge` within its time; what went wrong becomes the outcome's error."""
    attempts.clear()
    error = ""
    signal.setitimer(signal.ITIMER_VIRTUAL, FUNCTION_S)
    try:
        outcome = judge(trial, world, baselines)
    except TimeUp:
        error = "out of time"
    except (SyntaxError, ValueError) as problem:
        error = f"not a function: {problem}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if attempts and not error:
        error = f"forbidden: {attempts[0]}"
    return Outcome(honest=0, tried=0, error=error) if error else outcome


def main() -> None:
    """Judge everything that stands on standard input."""
    trials = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Trial])
    world = stage.Stage()
    signal.signal(signal.SIGVTALRM, _time_up)
    attempts = confine()
    baselines: dict[str, frozenset[Meaning]] = {}
    outcomes = [_judged(trial, world, baselines, attempts) for trial in trials]
    sys.stdout.buffer.write(msgspec.json.encode(outcomes))


if __name__ == "__main__":
    main()
