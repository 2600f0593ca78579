"""Write docs/settings.md from securetag/settings/, so that the page can't age.

    python tools/document_settings.py           write the page
    python tools/document_settings.py --check   exit 1 when the page isn't what would be written

Names, types and defaults come from the model; what a setting is comes from the `#:` comment above
its field.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from securetag import settings
from securetag.settings import sections as sections_module

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = CHECKOUT / "docs" / "settings.md"

HEAD = """\
# Settings
<!-- Written by tools/document_settings.py from securetag/settings/; edit there. -->

A value is taken from the first of these that has it: a flag of the command; the environment (`SECURETAG_…`;
two underscores before a field of a section: `SECURETAG_API__PORT`); `securetag.toml` in the working folder,
with the names of the second column (a table: `[api]`); the default. Lists are JSON in the environment:
`SECURETAG_TRIAGE__ALIASES='["securetag-v1"]'`. An empty variable isn't set; relative paths are from the
working directory. An unknown name is refused, with a near one. A setting of the type *secret* is given by its
variable or by a file: the variable's name with `_FILE` (`SECURETAG_PEPPER_FILE=/run/secrets/pepper`) names a
file of which the content is the value. Both, or an unreadable or empty file, are refused. Secrets are never
printed. `SECURETAG_ENVIRONMENT=production` refuses the default pepper. Outside loopback the api, which has no
TLS, refuses a default or short pepper, a known password of the database, and
`SECURETAG_API__BEHIND_PROXY=false`.
"""


def comments(source: str) -> dict[tuple[str, str], str]:
    """(class, field) → the `#:` lines directly above the field, joined."""
    lines = source.splitlines()
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                above: list[str] = []
                at = field.lineno - 2
                while at >= 0 and lines[at].strip().startswith("#:"):
                    above.insert(0, lines[at].strip()[2:].strip())
                    at -= 1
                found[node.name, field.target.id] = " ".join(above)
    return found


def page() -> str:
    """The whole page, ending in one line feed."""
    words = {}
    for module in (settings, sections_module):
        words |= comments(Path(module.__file__).read_text("utf-8"))
    parts = [HEAD]
    top = dict(_fields(settings.Settings))
    sections = {name: info for name, info in top.items() if _section(info)}
    plain = [(name, info) for name, info in top.items() if name not in sections]
    parts.append(_table("General", "", plain, settings.Settings, "", words))
    for name, info in sections.items():
        model = info.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        about = (model.__doc__ or "").strip().split("\n\n", 1)[0]
        parts.append(_table(f"`[{name}]`", about, list(_fields(model)), model, f"{name}.", words))
    for name, info in plain:
        if model := _entry(info):
            about = (model.__doc__ or "").strip().split("\n\n", 1)[0]
            parts.append(_entry_table(name, about, model, words))
    return "\n".join(parts)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    yield from model.model_fields.items()


def _section(info: FieldInfo) -> bool:
    return isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)


def _entry(info: FieldInfo) -> type[BaseModel] | None:
    """Return the model of the entries of a table of tables; None for any other field."""
    arguments = get_args(info.annotation)
    entry = arguments[1] if get_origin(info.annotation) is dict else None
    return entry if isinstance(entry, type) and issubclass(entry, BaseModel) else None


def _entry_table(name: str, about: str, model: type[BaseModel], words: dict[tuple[str, str], str]) -> str:
    lines = [f"## `[{name}.<name>]`", about, "", "| name | type | default | what |"]
    lines.append("| --- | --- | --- | --- |")
    for field, info in _fields(model):
        default = "needed" if info.is_required() else _default(info)
        what = words.get((model.__name__, field), "")
        lines.append(f"| `{name}.<name>.{field}` | {_type(info)} | {default} | {what} |")
    return "\n".join(lines) + "\n"


def _table(
    title: str,
    about: str,
    fields: list[tuple[str, FieldInfo]],
    model: type[BaseModel],
    prefix: str,
    words: dict[tuple[str, str], str],
) -> str:
    lines = [f"## {title}"]
    if about:
        lines += [about, ""]
    lines += ["| environment | name | type | default | what |", "| --- | --- | --- | --- | --- |"]
    for name, info in fields:
        variable = _variable(prefix + name, info)
        what = words.get((model.__name__, name), "")
        cells = (f"`{variable}`", f"`{prefix}{name}`", _type(info), _default(info), what)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _variable(name: str, info: FieldInfo) -> str:
    alias = info.validation_alias
    if isinstance(alias, AliasChoices) and isinstance(alias.choices[0], str):
        return alias.choices[0]
    return "SECURETAG_" + name.replace(".", "__").upper()


def _type(info: FieldInfo) -> str:
    kind: Any = _without_checks(info.annotation)
    if _entry(info):
        return "tables, see below"
    text = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    text = re.sub(r"\b(?:typing|pathlib(?:\._local)?|pydantic\.types)\.", "", text).replace(" | None", "")
    if text.startswith("Literal["):
        text = " or ".join(text[len("Literal[") : -1].replace("'", "").split(", "))
    return text.replace("SecretStr", "secret").replace("Path", "path").replace("AwareDatetime", "time")


def _without_checks(kind: object) -> object:
    """Return a type without what only checks its values: `list[Annotated[str, …]]` is `list[str]`."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[0]
    if get_origin(kind) is list:
        return list[_without_checks(get_args(kind)[0])]  # type: ignore[misc]
    return kind


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is None or value == "":
        return "none"
    if isinstance(value, SecretStr):
        return "a known one, for local use only"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 10_000:
        return f"`{value}` ({value // 2**20} MiB)" if value % 2**20 == 0 else f"`{value}`"
    return f"`{value}`"


def main(arguments: list[str]) -> int:
    """0 when the page is, or now is, what it should be."""
    wanted = page()
    if "--check" in arguments:
        if PAGE.is_file() and PAGE.read_text("utf-8") == wanted:
            return 0
        print("docs/settings.md is out of date: run `python tools/document_settings.py`", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
