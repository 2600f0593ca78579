"""Edits that change nothing about whether a finding is true."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from benchmarks.identity.edits import (
    Case,
    Change,
    Edit,
    Kind,
    Unfit,
    assigned_names,
    imported_names,
    local_names,
    names_in,
    parameters_of,
    rename_all,
)
from benchmarks.identity.sites import family_of_name, find_sites
from securetag.scanning.identity.syntax import FUNCTIONS, functions_around, text_of, walk


def _need_function(case: Case) -> None:
    if case.function is None or case.function.type not in {"function_definition", "function_declaration"}:
        raise Unfit


def _by_order(case: Case, kind: str, new: bytes, path: str = "") -> Edit:
    """A version whose sites are the same ones in the same order."""
    after = find_sites(path or case.path, new)
    if new == case.content or [site.rule for site in after] != [site.rule for site in case.sites]:
        raise Unfit
    edit = case.edit(kind, [], path=path)
    edit.versions[1] = {path or case.path: new}
    edit.truth = {
        (case.path, old.start): (path or case.path, site.start)
        for old, site in zip(case.sites, after, strict=True)
    }
    return edit


def black(case: Case) -> Edit:
    """The formatter, with lines short enough to change most of them."""
    import black as formatter

    try:
        mode = formatter.Mode(line_length=case.rng.choice([40, 60, 140]))
        new = formatter.format_str(case.content.decode(), mode=mode).encode()
    except (formatter.InvalidInput, UnicodeDecodeError) as error:
        raise Unfit from error
    return _by_order(case, "Black", new)


def prettier(case: Case) -> Edit:
    """The formatter of JavaScript, where Node.js and npm are there."""
    from benchmarks.identity.javascript import format_with_prettier

    new = format_with_prettier(case.content, case.rng.choice([50, 80, 140]))
    return _by_order(case, "Prettier", new)


def quotes(case: Case) -> Edit:
    """'text' becomes "text", and the other way round."""
    changes = []
    for node in walk(case.root):
        if node.type != "string" or node.child_count < 2:
            continue
        text = case.text(node)
        mark, other = text[-1:], b'"' if text[-1:] == b"'" else b"'"
        if (
            mark not in {b'"', b"'"}
            or other in text
            or b"\\" in text
            or text.endswith(mark * 3)
            or b"{" in text
        ):
            continue
        first = node.start_byte + text.index(mark)
        changes += [Change(first, first + 1, other), Change(node.end_byte - 1, node.end_byte, other)]
    if not changes:
        raise Unfit
    return case.edit("quotes", changes)


def comment(case: Case) -> Edit:
    """A comment above the statement, and one at its end."""
    mark = b"#" if case.is_python else b"//"
    start = case.line_start(case.statement)
    text = case.indent + mark + b" It's checked above, see the docs\n\n"
    return case.edit("comment", [Change(start, start, text)])


def docstring(case: Case) -> Edit:
    """A docstring for the function that has none."""
    _need_function(case)
    assert case.function is not None
    body = case.function.child_by_field_name("body")
    if not case.is_python or body is None or not body.named_children:
        raise Unfit
    first = body.named_children[0]
    if text_of(first).startswith(('"', "'", "r'", 'r"')):
        raise Unfit
    start = case.line_start(first)
    return case.edit("docstring", [Change(start, start, case.indent_of(first) + b'"""Do it."""\n')])


def line_shift(case: Case) -> Edit:
    """Lines above everything."""
    lines = (
        b"import logging\n\nLOG = logging.getLogger(__name__)\n" if case.is_python else b"const LOG = 1;\n"
    )
    if case.content.startswith((b"#!", b'"""', b"from __future__")):
        raise Unfit
    return case.edit("lines above", [Change(0, 0, lines)])


def variable(case: Case) -> Edit:
    """A local variable gets another name."""
    if case.function is None:
        raise Unfit
    names = names_in(case.function)
    renamable = [name for name in assigned_names(case.function) if name in names and len(name) > 1]
    renamable = [name for name in renamable if not _is_shared(case, name)]
    if not renamable:
        raise Unfit
    name = case.rng.choice(renamable)
    return case.edit("variable renamed", rename_all(case, names[name], f"renamed_{name}".encode()))


def _is_shared(case: Case, name: str) -> bool:
    """Is the name declared global, or used in a text that a rename wouldn't reach?"""
    text = case.text(case.function) if case.function is not None else b""
    return (
        any(f"{word} {name}".encode() in text for word in ("global", "nonlocal", "del"))
        or b"locals()" in text
    )


def parameter(case: Case) -> Edit:
    """A parameter gets another name."""
    _need_function(case)
    assert case.function is not None
    names = names_in(case.function)
    renamable = [
        text_of(node) for node in parameters_of(case.function) if not _is_shared(case, text_of(node))
    ]
    if not renamable:
        raise Unfit
    name = case.rng.choice(renamable)
    return case.edit("parameter renamed", rename_all(case, names[name], f"renamed_{name}".encode()))


def function_name(case: Case) -> Edit:
    """The function gets another name, here and where it is called."""
    _need_function(case)
    assert case.function is not None
    node = case.function.child_by_field_name("name")
    assert node is not None
    name = text_of(node)
    if name.startswith("__"):
        raise Unfit
    same = [each for each in walk(case.root) if each.type in {"identifier", "property_identifier"}]
    same = [each for each in same if text_of(each) == name]
    if family_of_name(name):
        raise Unfit  # calls of that name are what is flagged
    if f"super().{name}(".encode() in case.content:
        raise Unfit  # the class that it inherits from would need the edit too
    return case.edit("function renamed", rename_all(case, same, f"{name}_renamed".encode()))


def log_line(case: Case) -> Edit:
    """A statement before the flagged one."""
    start = case.line_start(case.statement)
    text = b'logger.debug("now")\n' if case.is_python else b'console.log("now");\n'
    return case.edit("statement added before", [Change(start, start, case.indent + text)])


def line_after(case: Case) -> Edit:
    """A statement at the end of the function."""
    _need_function(case)
    assert case.function is not None
    body = case.function.child_by_field_name("body")
    assert body is not None
    last = body.named_children[-1]
    end = case.line_end(last)
    text = b"done = True\n" if case.is_python else b"let done = true;\n"
    return case.edit("statement added after", [Change(end, end, case.indent_of(last) + text)])


def argument(case: Case) -> Edit:
    """The function takes one argument more."""
    _need_function(case)
    assert case.function is not None
    parameters = case.function.child_by_field_name("parameters")
    assert parameters is not None
    text = case.text(parameters)
    if b"*" in text or b"..." in text or b"\n" in text or not parameters.named_children:
        raise Unfit
    end = parameters.named_children[-1].end_byte
    return case.edit("argument added", [Change(end, end, b", extra=None")])


def call_argument(case: Case) -> Edit:
    """The flagged call gets a time limit, or an encoding."""
    arguments = case.call.child_by_field_name("arguments")
    if not case.is_python or arguments is None or arguments.type != "argument_list":
        raise Unfit
    text = case.text(arguments)
    if b"timeout" in text or b"encoding" in text or b"**" in text or text.rstrip(b") \n").endswith(b","):
        raise Unfit
    end = arguments.named_children[-1].end_byte
    name = case.rng.choice([b"timeout=30", b'encoding="utf-8"'])
    return case.edit("constant argument added to the call", [Change(end, end, b", " + name)])


def annotations(case: Case) -> Edit:
    """Parameters get types."""
    _need_function(case)
    assert case.function is not None
    untyped = [
        node
        for node in parameters_of(case.function)
        if node.parent == case.function.child_by_field_name("parameters")
    ]
    if not case.is_python or not untyped:
        raise Unfit
    return case.edit("types added", [Change(node.end_byte, node.end_byte, b": object") for node in untyped])


def decorator(case: Case) -> Edit:
    """A decorator that checks nothing."""
    _need_function(case)
    assert case.function is not None
    if not case.is_python:
        raise Unfit
    start = case.line_start(case.function)
    text = case.indent_of(case.function) + b"@functools.lru_cache(maxsize=None)\n"
    return case.edit("decorator added", [Change(start, start, text)])


def route(case: Case) -> Edit:
    """A route gets another path."""
    _need_function(case)
    assert case.function is not None
    if not case.is_python:
        return _route_of_callback(case)
    start = case.line_start(case.function)
    line = case.indent_of(case.function) + b'@app.route("/items")\n'
    before = case.edit("route renamed", [Change(start, start, line)])
    edit = case.edit("route renamed", [Change(start, start, line.replace(b"items", b"products/<key>"))])
    return _between(before, edit)


def _route_of_callback(case: Case) -> Edit:
    function = case.function
    assert function is not None
    if function != case.top or function.type != "function_declaration":
        raise Unfit
    name = case.text(function.child_by_field_name("name") or function)
    if case.content.count(name) > 1:
        raise Unfit
    head = function.start_byte + case.text(function).index(b"(")
    pieces = [Change(function.end_byte, function.end_byte, b");")]
    before = case.edit(
        "route renamed", [Change(function.start_byte, head, b'app.get("/items", function '), *pieces]
    )
    edit = case.edit(
        "route renamed", [Change(function.start_byte, head, b'app.get("/all/:key", function '), *pieces]
    )
    return _between(before, edit)


def _between(first: Edit, second: Edit) -> Edit:
    """The edit from the result of one to the result of the other."""
    truth = {place: second.truth[at] for at, place in first.truth.items() if place is not None}
    target = first.truth[first.target]
    assert target is not None
    return Edit(second.kind, [first.versions[1], second.versions[1]], target, truth, second.expected)


def extract_variable(case: Case) -> Edit:
    """The first argument gets a name on a line of its own."""
    arguments = case.call.child_by_field_name("arguments")
    if arguments is None or arguments.type not in {"argument_list", "arguments"}:
        raise Unfit
    first = arguments.named_children[0]
    if first.type in {
        "identifier",
        "keyword_argument",
        "list_splat",
        "dictionary_splat",
        "spread_element",
        *FUNCTIONS,
    }:
        raise Unfit
    if any(first.start_byte <= site.start < first.end_byte for site in case.sites) or not _is_simple(case):
        raise Unfit
    start = case.line_start(case.statement)
    value = case.text(first)
    if b"\n" in value or b"await" in value or b"yield" in value:
        raise Unfit
    head, tail = (b"extracted = ", b"\n") if case.is_python else (b"const extracted = ", b";\n")
    return case.edit(
        "variable extracted",
        [
            Change(start, start, case.indent + head + value + tail),
            Change(first.start_byte, first.end_byte, b"extracted"),
        ],
    )


def _is_simple(case: Case) -> bool:
    """Does the statement run its call once, whenever it runs?"""
    simple = {
        "expression_statement",
        "return_statement",
        "lexical_declaration",
        "variable_declaration",
        "raise_statement",
    }
    if case.statement.type not in simple:
        return False
    node = case.call
    while node != case.statement:
        if node.type in {
            *FUNCTIONS,
            "list_comprehension",
            "generator_expression",
            "dictionary_comprehension",
            "set_comprehension",
            "conditional_expression",
            "boolean_operator",
            "ternary_expression",
        }:
            return False
        assert node.parent is not None
        node = node.parent
    return True


def inline_variable(case: Case) -> Edit:
    """The other way round."""
    edit = extract_variable(case)
    edit.kind = "variable inlined"
    return _reversed(edit)


def _reversed(edit: Edit) -> Edit:
    truth = {to: at for at, to in edit.truth.items() if to is not None}
    target = edit.truth[edit.target]
    assert target is not None
    return Edit(edit.kind, edit.versions[::-1], target, dict(truth), edit.expected)


def extract_function(case: Case) -> Edit:
    """The statement moves into a function of its own, which gets the variables that it uses."""
    if case.function is None or not case.is_python or case.statement.type != "expression_statement":
        raise Unfit
    statement = case.text(case.statement)
    if b"await" in statement or b"yield" in statement or b"super()" in statement or b"\n" in statement:
        raise Unfit
    inner = case.statement.named_children[0]
    if inner.type != "call" or not _is_simple(case):
        raise Unfit
    if re.search(rb"\b__\w+", statement):
        raise Unfit  # in a class it is another name than outside
    around = functions_around(case.call)
    local = {name for function in around for name in local_names(function) | set(_defined_in(function))}
    local |= {"self", "cls"}
    bound = {text_of(name) for name in _bound_inside(case.statement)}
    used = [name for name in names_in(case.statement) if name in local and name not in bound]
    if any(family_of_name(name) for name in used):
        raise Unfit  # calls of that name are what is flagged
    start, end = case.statement.start_byte, case.statement.end_byte
    call = f"run_extracted({', '.join(used)})".encode()
    new_names = [
        f"{name}_" if case.rng.random() < 0.5 and name not in {"self", "cls"} else name for name in used
    ]
    body, moved = _renamed_statement(case, dict(zip(used, new_names, strict=True)))
    head = f"\n\ndef run_extracted({', '.join(new_names)}):\n    ".encode()
    changes = [
        Change(start, end, call),
        Change(len(case.content), len(case.content), head + body + b"\n"),
    ]
    shift = len(case.content) + len(call) - (end - start) + len(head)
    return case.edit("function extracted", changes, moved={old: shift + new for old, new in moved.items()})


def _defined_in(function: Node) -> Iterator[str]:
    """Yield the names of functions and classes in a function, and of what it imports."""
    for node in walk(function):
        if node.type in {"function_definition", "class_definition"} and node != function:
            name = node.child_by_field_name("name")
            if name is not None:
                yield text_of(name)
        elif node.type in {"import_statement", "import_from_statement"}:
            yield from imported_names(node)


def _bound_inside(statement: Node) -> Iterator[Node]:
    """Yield the variables of comprehensions and of functions without a name."""
    for node in walk(statement):
        if node.type in {"for_in_clause", "lambda"}:
            target = node.child_by_field_name("left") or node.child_by_field_name("parameters")
            if target is not None:
                yield from (each for each in walk(target) if each.type == "identifier")


def _renamed_statement(case: Case, names: dict[str, str]) -> tuple[bytes, dict[int, int]]:
    """The statement with other names, and where its sites are in it."""
    first = case.statement.start_byte
    changes = [
        Change(node.start_byte - first, node.end_byte - first, names[text_of(node)].encode())
        for name, nodes in names_in(case.statement).items()
        if name in names
        for node in nodes
    ]
    text, last = b"", 0
    original = case.text(case.statement)
    moved: dict[int, int] = {}
    inside = [site for site in case.sites if first <= site.start < case.statement.end_byte]
    for change in sorted(changes, key=lambda change: change.start):
        text += original[last : change.start] + change.text
        last = change.end
    text += original[last:]
    for site in inside:
        delta = sum(
            len(change.text) - (change.end - change.start)
            for change in changes
            if change.end <= site.start - first
        )
        moved[site.start] = site.start - first + delta
    return text, moved


def inline_function(case: Case) -> Edit:
    """The other way round."""
    edit = extract_function(case)
    edit.kind = "function inlined"
    return _reversed(edit)


COMMON: list[Kind] = [
    quotes,
    comment,
    line_shift,
    variable,
    parameter,
    function_name,
    log_line,
    line_after,
    argument,
    route,
    extract_variable,
    inline_variable,
]
PYTHON: list[Kind] = [
    black,
    docstring,
    call_argument,
    annotations,
    decorator,
    extract_function,
    inline_function,
]
