"""Load classes by name: built-in ones from a table, third parties' from entry points.

A registry maps a name to "module:attribute" and imports the module when the name is first needed, so that
a command imports only what it uses. Another package adds a name with an entry point of the registry's
group in its `pyproject.toml`::

    [project.entry-points."securetag.readers"]
    asciidoc = "asciidoc_reader:AsciidocReader"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeGuard, TypeVar

from securetag.errors import InputError, SettingsError

T = TypeVar("T")


class Registry(Generic[T]):
    """The implementations of one kind, by name.

    `kind` is the noun in messages (`reader`). `builtins` maps a name to "module:attribute", `group` is the
    group of entry points. `accepts` tells whether a loaded object implements the kind. `hint` is the next
    step when a library of a built-in implementation is missing.

    A built-in name can't be replaced by an entry point.
    """

    def __init__(
        self,
        kind: str,
        builtins: Mapping[str, str],
        *,
        group: str,
        accepts: Callable[[object], TypeGuard[T]],
        hint: str = "",
    ) -> None:
        self.kind = kind
        self.group = group
        self._builtins = dict(builtins)
        self._accepts = accepts
        self._hint = hint

    def names(self) -> list[str]:
        """Return the names of all implementations, sorted."""
        return sorted({*self._builtins, *self._entry_points})

    def get(self, name: str) -> T:
        """Return the implementation of that name.

        Raises InputError for an unknown name; SettingsError when a library is missing, when an entry point
        can't be imported or is of another kind, or when two packages declare the name.
        """
        if reference := self._builtins.get(name):
            return self._load_builtin(name, reference)
        return self._load_entry_point(self._find_entry_point(name))

    def get_origin(self, name: str) -> str:
        """Return `securetag` for a built-in name, else the package and version that declare it.

        Raises as `get` does.
        """
        return "securetag" if name in self._builtins else _describe_package(self._find_entry_point(name))

    @cached_property
    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        by_name: dict[str, list[EntryPoint]] = {}
        for entry_point in entry_points(group=self.group):
            by_name.setdefault(entry_point.name, []).append(entry_point)
        return by_name

    def _find_entry_point(self, name: str) -> EntryPoint:
        candidates = self._entry_points.get(name, [])
        if not candidates:
            similar = get_close_matches(name, self.names(), n=1)
            suggestion = f"Did you mean {similar[0]}? " if similar else ""
            raise InputError(
                f"there is no {self.kind} {name}",
                hint=f"{suggestion}The {self.kind}s are: {', '.join(self.names())}.",
            )
        packages = sorted({_describe_package(entry_point) for entry_point in candidates})
        if len(packages) > 1:
            raise SettingsError(
                f"{len(packages)} packages declare the {self.kind} {name}: {', '.join(packages)}",
                hint="Uninstall all but one of them.",
            )
        return candidates[0]

    def _load_builtin(self, name: str, reference: str) -> T:
        module, _, attribute = reference.partition(":")
        try:
            implementation: object = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise SettingsError(f"the {self.kind} {name} needs {error.name}", hint=self._hint) from error
        assert self._accepts(implementation), reference
        return implementation

    def _load_entry_point(self, entry_point: EntryPoint) -> T:
        package = _describe_package(entry_point)
        try:
            implementation: object = entry_point.load()
        except Exception as error:  # whatever the import of another package raises
            raise SettingsError(
                f"the {self.kind} {entry_point.name} of the package {package} can't be imported: "
                f"{type(error).__name__}: {error}",
                hint=f"Repair or uninstall {package}; its entry point names {entry_point.value}.",
            ) from error
        if not self._accepts(implementation):
            raise SettingsError(
                f"{entry_point.value} of the package {package} is not a {self.kind}",
                hint=f"Its entry point of the group {self.group} must name a {self.kind}.",
            )
        return implementation


def _describe_package(entry_point: EntryPoint) -> str:
    """Return `name version` of the package that declares an entry point."""
    if entry_point.dist is None:
        return entry_point.value
    return f"{entry_point.dist.name} {entry_point.dist.version}"
