"""Names as programmers choose them, counted in installed packages whose license is permissive.

Only names are taken, none of their code, and nothing is stored: a build reads the packages of its own
environment. The words are a function of the versions that are installed, so `describe_packages` is part of
a release's inputs.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from random import Random

import msgspec

__all__ = ["Vocabulary", "describe_packages", "load_vocabulary"]

#: Packages that a build of a release has installed anyway: applications, data, requests, command lines.
PACKAGES = (
    "Django",
    "SQLAlchemy",
    "Werkzeug",
    "fsspec",
    "huggingface-hub",
    "httpx",
    "jsonschema",
    "matplotlib",
    "pandas",
    "pydantic",
    "pydantic-settings",
    "rich",
    "scikit-learn",
    "tenacity",
    "typer",
)
#: What a license has to be called, and what it must not say beside that.
_PERMISSIVE = re.compile(r"\b(MIT|BSD|Apache|ISC|Python Software Foundation|PSF)\b", re.IGNORECASE)
_COPYLEFT = re.compile(r"GPL|General Public|Mozilla|MPL|EUPL|Affero", re.IGNORECASE)

_FUNCTION = re.compile(r"^[ \t]*(?:async )?def (\w+)\(([^)]*)\)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"^[ \t]+(?:self\.)?([a-z][a-z0-9_]{2,18}) = ", re.MULTILINE)
_CLASS = re.compile(r"^class ([A-Z][A-Za-z]{3,20})\b", re.MULTILINE)
_PARAMETER = re.compile(r"(?:^|,)\s*\*{0,2}([a-z][a-z0-9_]{2,18})\b")
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")

#: Names of one kind that are kept, the most frequent ones. Rarer ones are often one project's own.
MAX_NAMES = 9_000
#: Files that a name must be in: one file's names may be an accident.
MIN_FILES = 2
#: A name's weight is its number of files to this power: else a hundred names would be half of all.
_DAMPING = 0.35
#: Names that mean something to a web handler, to our rules, or to the reader of a finding.
_TAKEN = frozenset(
    (  # noqa: SIM905
        "request req rq resp response self cls args kwargs form forms files headers cookies body data "
        "query params path url uri host session session_id db conn connection cur cursor engine app log "
        "logger open eval exec redirect abort escape quote unquote clean check safe sql stmt cmd "
        "statement command password passwd secret token api_key key_id private_key credentials auth web "
        "falcon html json os re string shlex hashlib base64 zlib uuid markupsafe subprocess requests httpx "
        "urllib logging bp test "
        "sanitize sanitized unsafe tainted vulnerable attack payload exploit view wrapper event context info "
        "time functools dataclass dataclasses date unicodedata saxutils environ input argv decimal pathlib "
        "router api settings conf config mode tab size page done"
    ).split()
)
#: Parts of names that a rule of ours reads as a statement, a request or a secret.
_READ_BY_RULES = re.compile(
    r"sql|query|stmt|statement|request|response|passw|token|secret|cursor|html|url|path"
)


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Names with weights, of variables and parameters, of functions, and of classes."""

    nouns: list[str]
    functions: list[str]
    classes: list[str]
    noun_weights: list[float]
    function_weights: list[float]
    class_weights: list[float]

    def draw_nouns(self, rng: Random, count: int, *, max_chars: int = 18) -> list[str]:
        """Return `count` different names of variables."""
        return _draw(rng, self.nouns, self.noun_weights, count, max_chars)

    def draw_functions(self, rng: Random, count: int) -> list[str]:
        """Return `count` different names of functions, none of them a variable's."""
        return _draw(rng, self.functions, self.function_weights, count)

    def draw_classes(self, rng: Random, count: int) -> list[str]:
        """Return `count` different names of classes."""
        return _draw(rng, self.classes, self.class_weights, count)


def _draw(
    rng: Random, names: list[str], cumulative: list[float], count: int, max_chars: int = 99
) -> list[str]:
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        name = rng.choices(names, cum_weights=cumulative)[0]
        if len(name) <= max_chars:
            drawn[name] = None
    return list(drawn)


def describe_packages() -> dict[str, str]:
    """Return name → version of the packages that names are taken from."""
    return {each.metadata["Name"]: each.version for each in _distributions()}


def _distributions() -> Iterator[Distribution]:
    for name in PACKAGES:
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        metadata = installed.metadata
        # A license's whole text may stand in the field; only its beginning names it.
        stated = [
            *(metadata.get_all("License-Expression") or []),
            *(text[:60] for text in metadata.get_all("License") or []),
            *(each for each in metadata.get_all("Classifier") or [] if each.startswith("License")),
        ]
        text = " ".join(stated)
        if _PERMISSIVE.search(text) and not _COPYLEFT.search(text):
            yield installed


@cache
def load_vocabulary() -> Vocabulary:
    """Return the names of the installed packages. Reads about 2,500 files: 2 CPU-seconds, once a process."""
    nouns, functions, classes = Counter[str](), Counter[str](), Counter[str]()
    for installed in _distributions():
        for path in _python_files(installed):
            text = path.read_text(encoding="utf-8", errors="ignore")
            heads = _FUNCTION.findall(text)
            inside = {name for _, parameters in heads for name in _PARAMETER.findall(parameters)}
            nouns.update(inside | set(_ASSIGNMENT.findall(text)))
            functions.update({name for name, _ in heads if not name.startswith("test")})
            classes.update(set(_CLASS.findall(text)))
    is_noun = {name for name in nouns if _is_usable(name)}
    is_function = {name for name in functions if _is_usable(name) and name not in is_noun}
    is_class = {name for name in classes if not hasattr(builtins, name) and "Test" not in name}
    noun_names, noun_weights = _weighted(nouns, is_noun)
    function_names, function_weights = _weighted(functions, is_function)
    class_names, class_weights = _weighted(classes, is_class)
    return Vocabulary(
        nouns=noun_names,
        functions=function_names,
        classes=class_names,
        noun_weights=noun_weights,
        function_weights=function_weights,
        class_weights=class_weights,
    )


def _python_files(installed: Distribution) -> list[Path]:
    """The distribution's modules, tests left out, in a fixed order."""
    files = [each for each in installed.files or [] if each.suffix == ".py"]
    kept = sorted(str(each) for each in files if not {"tests", "test", "locale"} & set(each.parts))
    return [path for name in kept if (path := Path(str(installed.locate_file(name)))).is_file()]


def _is_usable(name: str) -> bool:
    return (
        3 <= len(name) <= 18
        and _NAME.fullmatch(name) is not None
        and not keyword.iskeyword(name)
        and not keyword.issoftkeyword(name)
        and not hasattr(builtins, name)
        and name not in _TAKEN
        and not _READ_BY_RULES.search(name)
        and name not in sys.stdlib_module_names
    )


def _weighted(counts: Counter[str], usable: set[str]) -> tuple[list[str], list[float]]:
    """The most frequent usable names, and their cumulative weights."""
    ranked = sorted(usable, key=lambda name: (-counts[name], name))
    frequent = [name for name in ranked if counts[name] >= MIN_FILES][:MAX_NAMES]
    weights, total = [], 0.0
    for name in frequent:
        total += counts[name] ** _DAMPING
        weights.append(total)
    return frequent, weights
