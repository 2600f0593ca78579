"""What a module's imports get: the stage's names, pure parts of the standard library, and stand-ins.

A stand-in answers every attribute and call with itself, hands a function that it decorates back, and is a
parent class that adds nothing. So loggers, applications, routes and permissions can be used as in real code,
and none of them does anything.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType, SimpleNamespace

#: Names of the standard library that are the real ones.
_REAL: dict[str, object] = {
    "Annotated": typing.Annotated,
    "Any": vars(typing)["Any"],
    "Literal": typing.Literal,
    "dataclass": dataclasses.dataclass,
    "lru_cache": functools.lru_cache,
    "wraps": functools.wraps,
    "time": SimpleNamespace(monotonic=lambda: 0.0),
}


class Standin:
    """Something that a handler uses and that has no part in what is judged."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *given: object, **_: object) -> object:
        if len(given) == 1 and isinstance(given[0], FunctionType):
            return given[0]
        return self

    def __mro_entries__(self, _: tuple[object, ...]) -> tuple[type, ...]:
        return ()


_STANDIN = Standin()


class _Module:
    """A module of stand-ins, apart from the names that are known."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._names.get(name, _STANDIN)


def provide(names: Iterable[str]) -> dict[str, object]:
    """Return the real ones of `names`, where the standard library's are used, and stand-ins."""
    return {name: _REAL.get(name, _STANDIN) for name in names}


def importer(names: Mapping[str, object]) -> Callable[..., object]:
    """Return an `__import__` that finds the stage's `names`, by which no real module is imported."""
    module = _Module(names)

    def find(
        name: str,
        globals_: object = None,
        locals_: object = None,  # noqa: ARG001
        fromlist: Sequence[str] | None = (),
        level: int = 0,  # noqa: ARG001
    ) -> object:
        if globals_ is None:
            # A call, not a statement: what the sandbox is there for.
            return builtins.__import__(name)
        return module if fromlist else getattr(module, name.partition(".")[0])

    return find
