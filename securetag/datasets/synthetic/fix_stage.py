"""The stage for code that a model wrote: sinks that know the safe way to call them, and no real module.

A composed function hands its sink one text. A fix binds a statement's values, gives a program its arguments
as a list, opens a name below a folder, or reads a literal instead of running code. What these mean is here.
"""

from __future__ import annotations

import ast
import builtins
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace

from securetag.datasets.synthetic import meaning, stage
from securetag.datasets.synthetic.meaning import Meaning

__all__ = ["FixStage", "neutral"]

#: Text in quotes, in which a placeholder is none, or a placeholder.
_PLACEHOLDER = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?P<place>\?|%s|%\((?P<percent>\w+)\)s|:(?P<colon>\w+))"""
)
#: Kinds of data in a statement: written into it, or bound.
_DATA = frozenset({"string", "number", "?"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})


class FixStage(stage.Stage):
    """A stage whose names are those of `Stage`, with wider sinks."""

    def __init__(self) -> None:
        super().__init__()
        names = self._names
        for name, value in list(names.items()):
            if isinstance(value, ModuleType):
                names[name] = _public_part(value)
        find = names["__builtins__"]["__import__"]

        def find_name(name: str, _: object = None, *rest: object) -> object:
            return find(name, {}, *rest)

        names["__builtins__"] = {**vars(builtins), "__import__": find_name}
        names.update(_sinks(self.recorder, names))


def neutral(meant: Meaning) -> Meaning:
    """Return a meaning in which a bound value is the same as one that was written into a statement."""
    return tuple("data" if fact in _DATA else fact for fact in meant)


def _public_part(module: ModuleType) -> SimpleNamespace:
    """Return a module without the modules that it imported, and without what is its own business."""
    return SimpleNamespace(
        **{
            name: value
            for name, value in vars(module).items()
            if not name.startswith("_") and not isinstance(value, ModuleType)
        }
    )


def _sinks(recorder: stage.Recorder, names: Mapping[str, object]) -> dict[str, object]:
    stand_ins = SimpleNamespace(**names)
    execute, run = _execute(recorder), _run_program(recorder)
    cursor = SimpleNamespace(execute=execute, executescript=stand_ins.cur.executescript)

    def send_from_directory(folder: object, name: object, **_: object) -> object:
        joined = stand_ins.safe_join(str(folder), str(name))
        if joined is None:
            raise stage.Refused
        opened: object = stand_ins.open(joined)
        return opened

    def literal_eval(text: object) -> object:
        value: object = ast.literal_eval(str(text))
        recorder.take(meaning.code, str(text))
        return value

    return {
        **dict.fromkeys(("cur", "db", "conn", "cursor"), cursor),
        "subprocess": SimpleNamespace(run=run, check_output=run, call=run, check_call=run, Popen=run),
        "send_from_directory": send_from_directory,
        "ast": SimpleNamespace(literal_eval=literal_eval),
        "literal_eval": literal_eval,
    }


def _note(recorder: stage.Recorder, meant: Meaning, text: str) -> object:
    return recorder.sink(lambda _: meant)(text)


def _execute(recorder: stage.Recorder) -> Callable[..., object]:
    def execute(statement: object, values: object = None, *_: object) -> object:
        text = str(statement)
        if values is None or values in ((), []):
            return _note(recorder, meaning.sql(text), text)
        bound = _bind(text, values)
        # The values themselves can't change what the statement means.
        return _note(recorder, meaning.sql(bound), f"{bound} {values!r}")

    return execute


def _bind(statement: str, values: object) -> str:
    """Return the statement with `?` for each bound value.

    Raises ValueError where placeholders and values don't agree, as drivers do.
    """
    names: list[str] = []

    def put(match: re.Match[str]) -> str:
        if match["place"] is None:
            return match[0]
        names.append(match["percent"] or match["colon"] or "")
        return "?"

    bound = _PLACEHOLDER.sub(put, statement)
    if isinstance(values, Mapping):
        agrees = bool(names) and all(name in values for name in names)
    else:
        agrees = isinstance(values, Sequence) and len(names) == len(values) and not any(names)
    if not agrees:
        raise ValueError("placeholders and values don't agree")
    return bound


def _run_program(recorder: stage.Recorder) -> Callable[..., object]:
    def run(command: object, *_: object, shell: bool = False, **__: object) -> object:
        if not isinstance(command, (list, tuple)):
            text = str(command)
            if not shell and meaning.shell(text) != ("word",):
                raise FileNotFoundError("no program has this name")
            return _note(recorder, meaning.shell(text), text)
        words = [str(word) for word in command]
        text = shlex.join(words)
        if shell:
            return _note(recorder, meaning.shell(words[0]), words[0])
        if words[0].rpartition("/")[2] in _SHELLS and "-c" in words[:-1]:
            script = words[words.index("-c") + 1]
            return _note(recorder, meaning.shell(script), script)
        return _note(recorder, ("word",) * len(words), text)

    return run
