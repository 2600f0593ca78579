"""Syntax trees of Python, JavaScript and TypeScript, and the few things that are asked of their nodes.

Tree-sitter gives a tree of any text, with ERROR nodes where it doesn't parse, in time linear in its size.
Everything here walks trees without recursion where their depth is the file's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser, Tree

#: Bytes of a file that is parsed; what is larger is generated or data.
MAX_BYTES = 1_000_000
#: Nodes inside one another. Code that people write has 60 at most, and asking for a parent takes as long as
#: the node is deep.
MAX_DEPTH = 400

_GRAMMARS: dict[str, Callable[[], object]] = {
    "python": tree_sitter_python.language,
    "javascript": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
    "tsx": tree_sitter_typescript.language_tsx,
}

FUNCTIONS = frozenset(
    {
        "function_definition",
        "lambda",
        "function_declaration",
        "generator_function_declaration",
        "function_expression",
        "generator_function",
        "arrow_function",
        "method_definition",
    }
)
CLASSES = frozenset({"class_definition", "class_declaration", "class"})
CALLS = frozenset({"call", "call_expression", "new_expression"})
STRINGS = frozenset({"string", "template_string", "concatenated_string"})
BLOCKS = frozenset(
    {"block", "statement_block", "module", "program", "class_body", "switch_case", "case_clause"}
)
COMMENTS = frozenset({"comment", "line_continuation", "hash_bang_line", "html_comment"})
#: Statements that hold others, or end with a block: only their heads count as their code.
COMPOUND = frozenset(
    {
        "if_statement",
        "elif_clause",
        "else_clause",
        "for_statement",
        "for_in_statement",
        "while_statement",
        "do_statement",
        "with_statement",
        "try_statement",
        "except_clause",
        "catch_clause",
        "finally_clause",
        "match_statement",
        "switch_statement",
        "labeled_statement",
        "decorated_definition",
        *FUNCTIONS,
        *CLASSES,
    }
)
_SIMPLE = frozenset(
    {
        "expression_statement",
        "return_statement",
        "raise_statement",
        "throw_statement",
        "assert_statement",
        "delete_statement",
        "lexical_declaration",
        "variable_declaration",
        "import_statement",
        "import_from_statement",
        "export_statement",
        "print_statement",
        "exec_statement",
        "yield",
        "public_field_definition",
        "field_definition",
    }
)
LITERALS = frozenset(
    {"string", "integer", "float", "true", "false", "none", "number", "null", "undefined", "regex"}
)


@cache
def _parser(grammar: str) -> Parser:
    return Parser(Language(_GRAMMARS[grammar]()))


def parse(content: bytes, language: str) -> Tree | None:
    """Return the tree of a file; None for a language without a grammar, and where it is too large or deep."""
    if language not in _GRAMMARS or len(content) > MAX_BYTES:
        return None
    tree = _parse(content, language)
    return None if _is_deep(tree) else tree


def _is_deep(tree: Tree) -> bool:
    cursor = tree.walk()
    while True:
        if cursor.goto_first_child():
            if cursor.depth > MAX_DEPTH:
                return True
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return False


def _parse(content: bytes, language: str) -> Tree:
    tree = _parser(language).parse(content)
    if language == "typescript" and tree.root_node.has_error:
        # A file with JSX is another grammar; which one it is shows in the tree alone.
        other = _parser("tsx").parse(content)
        return tree if other.root_node.has_error else other
    return tree


def text_of(node: Node) -> str:
    """Return the code of a node."""
    return (node.text or b"").decode("utf-8", errors="replace")


def ancestors(node: Node) -> Iterator[Node]:
    """The nodes around a node, innermost first."""
    parent = node.parent
    for _ in range(MAX_DEPTH):
        if parent is None:
            return
        yield parent
        parent = parent.parent


def walk(node: Node, enter: Callable[[Node], bool] | None = None) -> Iterator[Node]:
    """The node and its descendants in the order of the code; `enter` says whether to go into one."""
    yield node
    stack = node.children[::-1]
    while stack:
        current = stack.pop()
        yield current
        if current.child_count and (enter is None or enter(current)):
            stack += current.children[::-1]


def contains(outer: Node, inner: Node) -> bool:
    """Is the inner node's code within the outer one's?"""
    return outer.start_byte <= inner.start_byte and inner.end_byte <= outer.end_byte


def statement_of(node: Node) -> Node:
    """Return the simple statement around a node, or what of a compound statement's head it is in."""
    current = node
    for parent in ancestors(node):
        if current.type in _SIMPLE:
            return current
        if parent.type in BLOCKS or parent.type in COMPOUND:
            return current
        current = parent
    return current


def functions_around(node: Node) -> list[Node]:
    """Return the functions around a node, innermost first, the node itself apart."""
    return [parent for parent in ancestors(node) if parent.type in FUNCTIONS]


def name_of(function: Node) -> str:
    """Return a function's own name, or that of the variable or property that it is assigned to."""
    name = function.child_by_field_name("name")
    if name is not None:
        return text_of(name)
    parent = function.parent
    if parent is not None and parent.type in {"variable_declarator", "pair", "assignment_expression"}:
        target = next(
            (
                parent.child_by_field_name(field)
                for field in ("name", "key", "left")
                if parent.child_by_field_name(field) is not None
            ),
            None,
        )
        return text_of(target).rsplit(".", 1)[-1].strip("\"'") if target is not None else ""
    return ""


def head_children(node: Node) -> list[Node]:
    """Return the children of a compound statement without its blocks and clauses."""
    return [
        child
        for child in node.children
        if child.type not in BLOCKS and child.type not in COMPOUND and child.type != "decorator"
    ]


def body_of(node: Node) -> Node | None:
    """Return the block of a compound statement; None for any other node."""
    if node.type not in COMPOUND:
        return None
    for field in ("body", "consequence"):
        body = node.child_by_field_name(field)
        if body is not None:
            return body
    return next((child for child in node.named_children if child.type in BLOCKS), None)


def is_docstring(statement: Node) -> bool:
    """Is the statement nothing but a string?"""
    return (
        statement.type == "expression_statement"
        and statement.named_child_count == 1
        and statement.named_children[0].type in {"string", "concatenated_string"}
    )


def exits(node: Node | None) -> bool:
    """Does the block, or the statement, always leave the function or the iteration?"""
    for _ in range(MAX_DEPTH):
        if node is None:
            return False
        if node.type in {"block", "statement_block", "else_clause"}:
            statements = [child for child in node.named_children if child.type not in COMMENTS]
            node = statements[-1] if statements else None
            continue
        if node.type in {"return_statement", "raise_statement", "throw_statement"}:
            return True
        if node.type in {"continue_statement", "break_statement"}:
            return True
        if node.type == "expression_statement" and node.named_children:
            call = node.named_children[0]
            callee = call.child_by_field_name("function") if call.type in CALLS else None
            return callee is not None and text_of(callee).rsplit(".", 1)[-1] in {"abort", "exit", "_exit"}
        if node.type == "if_statement":
            parts = [node.child_by_field_name("consequence"), *node.children_by_field_name("alternative")]
            has_else = any(part is not None and part.type == "else_clause" for part in parts[1:])
            return has_else and all(
                exits(part.child_by_field_name("consequence") if part.type == "elif_clause" else part)
                for part in parts
                if part is not None
            )
        return False
    return False
