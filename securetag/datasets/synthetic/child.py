"""The sandboxed process that runs synthetic functions: `python -m securetag.datasets.synthetic.child`.

Reads a `Trial` a line from standard input, as JSON, and writes an `Outcome` a line to standard
output as soon as it is there, after a first line `ready`: whatever ends the process, everything that
was judged before has been answered. Before the first function is compiled the process limits its own
memory, CPU time, files and file sizes, and an audit hook refuses any attempt to open a socket, start
a process or write a file. The functions come from our own tables; the sandbox is for the day when
one of them does something that its author didn't foresee.
"""

from __future__ import annotations

import math
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from types import CoroutineType, FrameType
from typing import Any, NoReturn

import msgspec

from securetag.datasets.synthetic import meaning, stage
from securetag.datasets.synthetic.delivery import ROUTE, deliver
from securetag.datasets.synthetic.frameworks import PACKAGE
from securetag.datasets.synthetic.locations import location_writer
from securetag.datasets.synthetic.meaning import OUTSIDE, Meaning
from securetag.datasets.synthetic.payloads import OPENERS, list_combinations, list_payloads
from securetag.datasets.synthetic.search import search_witness
from securetag.datasets.synthetic.sinks import Sink, sink_named

#: CPU seconds that one function may take over all its inputs. One takes 1 to 100 milliseconds.
FUNCTION_SECONDS = 3
#: CPU seconds after which the kernel ends the process in spite of the function, counted from its
#: start: code that never returns to the interpreter (a regular expression) can't be interrupted.
KILL_SECONDS = FUNCTION_SECONDS + 2
#: CPU seconds of a whole process: 2,000 functions take about 5.
PROCESS_SECONDS = 600
#: The first line of output: what follows are outcomes.
READY = b"ready"
#: Characters of an effect that are kept.
MAX_EFFECT_CHARS = 160
#: The error of a function that used up its CPU seconds.
OUT_OF_TIME = "out of CPU time"


#: A function without a guard and its framework → what honest values mean.
Baselines = dict[tuple[str, str], frozenset[Meaning]]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One function to run, with its inputs."""

    code: str
    #: The function to call: `view`, or a class's method.
    entry: str = "view"
    variable: str
    #: The function without any guard, which fixes what honest values mean at this sink.
    plain: str
    #: Name of the sink, which decides the honest values and the payloads.
    sink: str
    #: The framework, which reads parameters and writes the address of a redirect in its own way.
    framework: str = ""
    #: Kind of the request's part that the parameters are in: what it can't carry doesn't arrive.
    source: str = ""
    #: Inputs to try before the function is called safe; the listed attacks alone where it is less.
    inputs: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What running a function showed."""

    #: Honest requests that reached the sink.
    honest: int
    #: Attacks run, up to the first that changed the sink's meaning.
    tried: int
    #: What the guarded parameter held in that attack; None where all of them left the meaning alone.
    witness: str | None = None
    #: What every other parameter held in that attack.
    witness_other: str = ""
    #: What reached the sink in that attack. Where no attack did harm: what became of the first payload
    #: there, None where it didn't get there.
    effect: str | None = None
    #: Why the function couldn't be judged; empty when it could.
    error: str = ""


class TimeUp(BaseException):
    """The function's CPU seconds are spent. Not an Exception: no handler in a function may catch it."""


def _time_up(_: int, __: FrameType | None) -> NoReturn:
    raise TimeUp


def confine(*, memory_mb: int = 1024, cpu_s: int = PROCESS_SECONDS) -> list[str]:
    """Limit this process for good, and forbid what no synthetic function needs.

    Returns the list to which every forbidden attempt is added: a function may catch the error.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    forbidden = (
        "socket.",
        "subprocess.",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.putenv",
        "os.kill",
        "shutil.",
        "ctypes.",
        "urllib.Request",
        "open",
    )

    attempts: list[str] = []

    def watch(event: str, about: tuple[object, ...]) -> None:
        # The compiler looks for the file that a syntax error names; there is none of this name.
        if event == "open" and about[0] in {"<unknown>", "<synthetic>"}:
            return
        if event.startswith(forbidden):
            attempts.append(event)
            raise PermissionError(f"{event} is forbidden in the sandbox")

    sys.addaudithook(watch)
    return attempts


def limit_function() -> None:
    """Let the kernel end the process after `KILL_SECONDS` more of CPU time, or at its own limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time()) + KILL_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))


class Handler:
    """A synthetic function on a stage, ready to be called with one input after another."""

    def __init__(
        self,
        text: str,
        entry: str,
        variable: str,
        world: stage.Stage,
        framework: str = "",
        source: str = "",
    ) -> None:
        self._text = text
        self._deliver = partial(deliver, framework, source)
        self._write_location = location_writer(framework)
        self._is_package = framework == PACKAGE
        world.values.read = set()
        names = world.names()
        code = compile(text, "<synthetic>", "exec")
        try:
            exec(code, names)
        except Exception as problem:
            raise ValueError(f"the module fails: {problem!r}") from problem
        owner, _, name = entry.rpartition(".")
        self._handler = vars(names[owner])[name] if owner else names[name]
        inside = text[text.index(f"class {owner}") :] if owner else text
        self._parameters = _list_parameters(inside[inside.index(f"def {name}(") :])
        self._variable, self._world = variable, world
        self._is_route = source.startswith(ROUTE)

    def __call__(self, payload: str, other: str) -> list[Meaning]:
        """What one input means at the sink, once for each time that it is reached.

        `payload` and `other` are what is sent; the request's parameters hold what arrives of them.
        """
        world = self._world
        world.write_location = self._write_location
        world.is_package = self._is_package
        try:
            # Of a route nothing but the guarded parameter is converted.
            world.reset(
                self._variable, self._deliver(payload), other if self._is_route else self._deliver(other)
            )
        except ValueError:
            world.reset(self._variable, "", "")
            return world.recorder.meanings
        try:
            result = self._handler(*map(world.argument, self._parameters))
            if isinstance(result, CoroutineType):
                result = _await(result)
            world.recorder.answered(result)
            # A package's function returns its markup; one that reached a sink returns what the sink gave.
            if self._is_package and isinstance(result, str) and not world.recorder.texts:
                world.recorder.answered(stage.Answer(meaning.page, result))
            if world.response.text is not None:
                world.recorder.answered(stage.Answer(meaning.page, world.response.text))
        except stage.AnswerRaised as answered:
            world.recorder.answered(answered.answer)
        except Exception:
            # A handler that fails answers 500; what it reached before that still counts.
            return world.recorder.meanings
        return world.recorder.meanings

    def uses_others(self) -> bool:
        """Whether some call read a parameter, beside the guarded one, that its result may depend on."""
        read = self._world.values.read - {self._variable}
        return bool(read and read - _unused_keys(self._text))


def _list_parameters(header: str) -> list[str]:
    """Return the names of a function's parameters, of the text that begins with `def`."""
    parts, depth = [""], 0
    for character in header[header.index("(") + 1 :]:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    names = [re.split("[:=]", part, maxsplit=1)[0].strip() for part in parts]
    return [name for name in names if name]


#: A statement that stores a value under a name; statements of synthetic functions take one line.
_STORES = re.compile(r"^ *(\w+) = (.+)$", re.MULTILINE)


def _unused_keys(text: str) -> set[str]:
    """Return the keys of the parameters that a function stores under a name and never looks at.

    Works on lines rather than on a syntax tree, which would take an eighth of all CPU time here. A
    name that is anywhere else, in a string too, counts as looked at.
    """
    keys: set[str] = set()
    for statement in _STORES.finditer(text):
        name = re.escape(statement[1])
        if not re.search(rf"\b{name}\b", text[: statement.start()] + text[statement.end() :]):
            keys.update(re.findall(r"[\"'](\w+)[\"']", statement[2]))
    return keys


def first_function(text: str) -> str:
    start = text.index("def ") + 4
    return text[start : text.index("(", start)]


def _await(coroutine: CoroutineType[Any, Any, Any]) -> object:
    """The value of a coroutine that waits for nothing outside."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise RuntimeError("a synthetic handler waited for something")


def judge(trial: Trial, world: stage.Stage, baselines: Baselines) -> Outcome:
    """Run a trial's function on honest requests, then on attacks until one does harm.

    Raises ValueError for an unknown sink and for text that isn't a function, SyntaxError likewise.
    """
    sink = sink_named(trial.sink)
    handler = Handler(trial.code, trial.entry, trial.variable, world, trial.framework, trial.source)
    baseline = (trial.plain, trial.framework)
    if baseline not in baselines:
        plain = Handler(trial.plain, first_function(trial.plain), trial.variable, world, trial.framework)
        # Nothing at all is honest too: a field that was left empty makes no statement of another kind.
        baselines[baseline] = frozenset(each for text in (*sink.benign, "") for each in plain(text, text))
    honest = [handler(text, text) for text in sink.benign]
    uses_others = handler.uses_others()
    if uses_others:
        honest += [handler(text, other) for text in sink.benign for other in sink.benign if other != text]
    reached = sum(map(bool, honest))
    # A guard may reshape what honest values mean (a number for a name); that is no injection.
    permitted = baselines[baseline].union(*map(frozenset, honest)) - {OUTSIDE}
    recorder = world.recorder

    def is_harmful(payload: str, other: str) -> bool:
        return not permitted.issuperset(handler(payload, other))

    def attempt(payload: str, other: str) -> tuple[list[str], bool]:
        harm = is_harmful(payload, other)
        return recorder.texts, harm

    def witnessed(tried: int) -> Outcome:
        harmful = next(
            text
            for text, each in zip(recorder.texts, recorder.meanings, strict=True)
            if each not in permitted
        )
        return Outcome(
            honest=reached,
            tried=tried,
            witness=str(world.values.payload),
            witness_other=str(world.values.other),
            effect=_shortened(harmful),
        )

    tried = 0
    for payload, other in list_attacks(sink, uses_others=uses_others, is_reached=reached > 0):
        tried += 1
        if is_harmful(payload, other):
            return witnessed(tried)
    if reached and tried < trial.inputs:
        witness, more = search_witness(
            attempt,
            sink,
            trial.code,
            count=trial.inputs - tried,
            uses_others=uses_others,
        )
        tried += more
        if witness is not None:
            return witnessed(tried)
    handler(list_payloads(sink)[0], sink.benign[0])
    effect = _shortened(recorder.texts[0]) if recorder.texts else None
    return Outcome(honest=reached, tried=tried, effect=effect)


def _shortened(text: str) -> str:
    """The beginning of a text as a plain string that can be written as UTF-8."""
    return str(text)[:MAX_EFFECT_CHARS].encode("utf-8", "backslashreplace").decode()


def list_attacks(sink: Sink, *, uses_others: bool, is_reached: bool) -> Iterator[tuple[str, str]]:
    """Requests of an attacker: the guarded parameter, and every other one.

    Where honest requests don't reach the sink (`is_reached`), a function without a witness shows
    nothing anyway: the long list of combinations is spared.
    """
    texts = list_payloads(sink) + (list_combinations(sink) if is_reached else ())
    if not uses_others:
        yield from ((text, sink.benign[0]) for text in texts)
        return
    # All parameters are the attacker's: one opens the way for the other, or both carry the payload.
    for text in texts:
        yield from ((text, other) for other in (*sink.benign, *OPENERS, text))
    for text in texts:
        yield from ((honest, text) for honest in sink.benign)


def _judged(trial: Trial, world: stage.Stage, baselines: Baselines, attempts: list[str]) -> Outcome:
    """`judge` within its time; what went wrong becomes the outcome's error."""
    attempts.clear()
    error = ""
    limit_function()
    signal.setitimer(signal.ITIMER_VIRTUAL, FUNCTION_SECONDS)
    try:
        outcome = judge(trial, world, baselines)
    except TimeUp:
        error = OUT_OF_TIME
    except (SyntaxError, ValueError) as problem:
        error = f"not a function: {problem}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if attempts and not error:
        error = f"forbidden: {attempts[0]}"
    return Outcome(honest=0, tried=0, error=error) if error else outcome


def main() -> None:
    """Judge every trial on standard input."""
    world = stage.Stage()
    signal.signal(signal.SIGVTALRM, _time_up)
    # Only outcomes go to the parent's pipe: what a function prints goes where errors go.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    attempts = confine()
    baselines: Baselines = {}
    answers.write(READY + b"\n")
    for line in sys.stdin.buffer:
        outcome = _judged(msgspec.json.decode(line, type=Trial), world, baselines, attempts)
        answers.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main()
