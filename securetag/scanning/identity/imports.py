"""What a module imports and exports by name, in Python and in both module systems of JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from tree_sitter import Node

from securetag.scanning.identity.syntax import ancestors, text_of

_IMPORTS = frozenset(
    {"import_statement", "import_from_statement", "future_import_statement", "export_clause"}
)
#: What is between a name and its import or export: `module.exports = {name}`, `exports.name = name`.
_PASSED_IN = frozenset(
    {
        "aliased_import",
        "assignment_expression",
        "dotted_name",
        "export_specifier",
        "import_clause",
        "import_specifier",
        "member_expression",
        "named_imports",
        "object",
        "pair",
        "parenthesized_expression",
    }
)
_INDEXES = frozenset({"__init__", "index"})


def is_passed_on(name: Node) -> bool:
    """Does an import or an export have the name, and no code that uses it?"""
    child = name
    for parent in ancestors(name):
        if parent.type in _IMPORTS:
            return True
        if parent.type == "variable_declarator":
            return parent.child_by_field_name("name") == child and _required(parent) is not None
        if parent.type == "expression_statement":
            return child.type == "assignment_expression" and _is_export(child)
        if parent.type not in _PASSED_IN and not parent.type.endswith("pattern"):
            return False
        child = parent
    return False


def _is_export(assignment: Node) -> bool:
    target = assignment.child_by_field_name("left")
    text = text_of(target) if target is not None else ""
    return text in {"module.exports", "exports"} or text.startswith(("module.exports.", "exports."))


def names_imported_from(path: str, root: Node) -> dict[str, str]:
    """Return the names that a module imports from the file of this path → what they are called there.

    The last part of the module's name decides: it is for a file that is expected to be imported.
    """
    names: dict[str, str] = {}
    for node in root.named_children:
        if node.type == "import_from_statement":
            module = node.child_by_field_name("module_name")
            if module is not None and _means(text_of(module).rsplit(".", 1)[-1], path):
                names.update(_python_names(node))
        elif node.type == "import_statement":
            source = node.child_by_field_name("source")
            if source is not None and _means(_last_part(source), path):
                names.update(_clause_names(node))
        elif node.type in {"lexical_declaration", "variable_declaration"}:
            for child in node.named_children:
                source = _required(child)
                target = child.child_by_field_name("name")
                if source is not None and target is not None and _means(_last_part(source), path):
                    names.update(_pattern_names(target))
    return names


def _means(module: str, path: str) -> bool:
    file = PurePosixPath(path)
    if file.stem in _INDEXES:
        return module in {"", ".", "..", file.stem, file.parent.name}
    return module == file.stem


def _last_part(source: Node) -> str:
    name = PurePosixPath(text_of(source).strip("\"'`")).name
    stem, _, suffix = name.rpartition(".")
    return stem if suffix in {"js", "mjs", "cjs", "jsx", "ts", "tsx"} and stem else name


def _required(declarator: Node) -> Node | None:
    """Return the text of `… = require("text")`."""
    value = declarator.child_by_field_name("value")
    callee = value.child_by_field_name("function") if value is not None else None
    if value is None or callee is None or text_of(callee) != "require":
        return None
    arguments = value.child_by_field_name("arguments")
    first = arguments.named_children[0] if arguments is not None and arguments.named_children else None
    return first if first is not None and first.type == "string" else None


def _python_names(node: Node) -> Iterator[tuple[str, str]]:
    for child in node.children_by_field_name("name"):
        name, alias = child.child_by_field_name("name"), child.child_by_field_name("alias")
        yield (
            (text_of(alias), text_of(name))
            if name is not None and alias is not None
            else (
                text_of(child),
                text_of(child),
            )
        )


def _clause_names(node: Node) -> Iterator[tuple[str, str]]:
    for clause in node.named_children:
        for imports in clause.named_children:
            for child in imports.named_children if imports.type == "named_imports" else ():
                name, alias = child.child_by_field_name("name"), child.child_by_field_name("alias")
                if name is not None:
                    yield text_of(alias if alias is not None else name), text_of(name)


def _pattern_names(pattern: Node) -> Iterator[tuple[str, str]]:
    for child in pattern.named_children if pattern.type == "object_pattern" else ():
        if child.type == "shorthand_property_identifier_pattern":
            yield text_of(child), text_of(child)
        elif child.type == "pair_pattern":
            key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
            if key is not None and value is not None and value.type == "identifier":
                yield text_of(value), text_of(key)
