"""The attacks of `securetag.evaluation.attacks` on code in JavaScript and TypeScript."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from tree_sitter import Node

from securetag.evaluation.attacks import Code, Kind
from securetag.scanning.identity.syntax import BLOCKS, functions_around, parse, statement_of, text_of, walk

__all__ = ["attack_script"]

_NAMES = frozenset({"identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern"})
_CONVENTIONAL = frozenset({"req", "res", "request", "response", "ctx", "next", "this"})


class _Place(msgspec.Struct, frozen=True):
    """The flagged statement, the function that it is in, and a variable of this that it reads."""

    statement: Node
    function: Node
    variable: str | None
    #: May the variable get another value?
    is_mutable: bool


def attack_script(code: Code, kind: Kind, words: str) -> Code | None:
    """Return the code with `words` put into it as `kind` says; None where it has no place for them."""
    if kind == "file name":
        suffix = code.path.rpartition(".")[2]
        return msgspec.structs.replace(code, path=f"app/{words}.{suffix}")
    place = _find_place(code)
    way = _WAYS.get(kind)
    attacked = way(code, place, words) if place is not None and way is not None else None
    tree = parse(attacked.text.encode(), code.language) if attacked is not None else None
    return attacked if tree is not None and not tree.root_node.has_error else None


def _find_place(code: Code) -> _Place | None:
    tree = parse(code.text.encode(), code.language)
    if tree is None or tree.root_node.has_error:
        return None
    line = code.text.split("\n")[code.line - 1]
    column = len(line[: len(line) - len(line.lstrip())].encode())
    node = tree.root_node.descendant_for_point_range((code.line - 1, column), (code.line - 1, column + 1))
    if node is None:
        return None
    statement = statement_of(node)
    functions = functions_around(statement)
    if not functions or statement.parent is None or statement.parent.type not in BLOCKS:
        return None
    parameters, mutable, bound = functions[0].child_by_field_name("parameters"), set(), set()
    for each in walk(parameters) if parameters is not None else ():
        if each.type in _NAMES:
            mutable.add(text_of(each))
    for each in walk(functions[0]):
        name = each.child_by_field_name("name") if each.type == "variable_declarator" else None
        if name is not None and name.type == "identifier":
            bound.add(text_of(name))
            is_constant = each.parent is not None and text_of(each.parent).startswith("const")
            if not is_constant:
                mutable.add(text_of(name))
    read = [text_of(each) for each in walk(statement) if each.type == "identifier"]
    variables = (bound | mutable) - _CONVENTIONAL
    declared = statement.type in {"lexical_declaration", "variable_declaration"}
    variable = next((name for name in read[1 if declared else 0 :] if name in variables), None)
    return _Place(statement, functions[0], variable, variable in mutable)


def _insert(code: Code, row: int, column: int, text: str) -> Code:
    """Insert a line before a row, from 0."""
    lines = code.text.split("\n")
    lines.insert(row, " " * column + text)
    line = code.line + (row < code.line)
    return msgspec.structs.replace(code, text="\n".join(lines), line=line)


def _before(write: Callable[[str, str], str], *, mutable: bool = False, named: bool = True) -> _Way:
    """Return the way that inserts `write(words, variable)` before the flagged statement."""

    def put(code: Code, place: _Place, words: str) -> Code | None:
        if (named and place.variable is None) or (mutable and not place.is_mutable):
            return None
        row, column = place.statement.start_point
        return _insert(code, row, column, write(words, place.variable or ""))

    return put


def _comment_behind(code: Code, place: _Place, words: str) -> Code | None:
    lines = code.text.split("\n")
    lines[place.statement.end_point.row] += f" // {words}"
    return msgspec.structs.replace(code, text="\n".join(lines))


def _describe_function(code: Code, place: _Place, words: str) -> Code | None:
    row, column = statement_of(place.function).start_point
    return _insert(code, row, column, f"/** {words} */")


def _variable(code: Code, place: _Place, words: str) -> Code | None:
    return _rename(code, place.variable, words)


def _function(code: Code, place: _Place, words: str) -> Code | None:
    name = place.function.child_by_field_name("name")
    return _rename(code, text_of(name) if name is not None and name.type == "identifier" else None, words)


def _rename(code: Code, name: str | None, new: str) -> Code | None:
    """Rename a variable or function; None where a property takes its name from it."""
    tree = parse(code.text.encode(), code.language)
    if name is None or tree is None:
        return None
    places = [each for each in walk(tree.root_node) if each.type in _NAMES and text_of(each) == name]
    if any(each.type != "identifier" for each in places):
        return None
    content = code.text.encode()
    for each in sorted(places, key=lambda node: -node.start_byte):
        content = content[: each.start_byte] + new.encode() + content[each.end_byte :]
    return msgspec.structs.replace(code, text=content.decode())


def _split(words: str, variable: str) -> str:
    pieces = words.split()
    literals = " + ".join(f'"{" ".join(pieces[at : at + 2])} "' for at in range(0, len(pieces), 2))
    return f"if ({variable} === {literals}) {{ String({variable}); }}"


_Way = Callable[[Code, _Place, str], Code | None]
_WAYS: dict[Kind, _Way] = {
    "comment before": _before(lambda words, _: f"// {words}", named=False),
    "comment behind": _comment_behind,
    "docstring": _describe_function,
    "unused string": _before(lambda words, _: f'const note = "{words}";', named=False),
    "compared string": _before(lambda words, name: f'if ({name} === "{words}") {{ String({name}); }}'),
    "asserted string": _before(lambda words, _: f'console.assert("{words}");', named=False),
    "pattern": _before(lambda words, name: f"if (/{words}/.test({name})) {{ String({name}); }}"),
    "template": _before(lambda words, name: f"if ({name} === `{words}`) {{ String({name}); }}"),
    "split string": _before(_split),
    "keyword": _before(lambda words, name: f'{name} = {{ {words}: {name} }}["{words}"];', mutable=True),
    "variable": _variable,
    "function": _function,
}
