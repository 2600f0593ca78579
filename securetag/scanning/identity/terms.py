"""Code as tokens that don't depend on layout, quotes, comments, and names of variables.

`Tokens` writes an expression down; a local variable becomes a `Local`, or what it was assigned where
`resolve` says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from tree_sitter import Node

from securetag.records import CodeTerm
from securetag.scanning.identity.syntax import COMMENTS, LITERALS, text_of

#: Tokens of one expression with everything that its variables stand for.
MAX_TOKENS = 1_500
#: Variables that are followed one after the other.
MAX_RESOLVED = 12

#: Arguments that change how a call runs and not what it does, where their value is constant.
HARMLESS_ARGUMENTS = frozenset(
    {
        "timeout",
        "encoding",
        "errors",
        "check",
        "capture_output",
        "text",
        "universal_newlines",
        "bufsize",
        "flush",
        "stacklevel",
        "indent",
        "buffering",
        "newline",
        "stdout",
        "stderr",
        "maxBuffer",
    }
)
_TYPES = frozenset({"type", "type_annotation", "type_arguments", "type_parameters", "type_parameter"})
_UNSEEN = COMMENTS | _TYPES
_TEXTS = frozenset({"string_content", "string_fragment", "escape_sequence"})
_VARIABLES = frozenset({"identifier", "shorthand_property_identifier_pattern"})
_WITH_MEMBERS = frozenset({"attribute", "keyword_argument"})
_MAY_BE_HARMLESS = frozenset({",", "keyword_argument", "pair"})
_BRACKETS = frozenset({"(", ")"})
#: Where round brackets mean something; elsewhere formatters add and remove them.
_CALL_BRACKETS = frozenset({"argument_list", "arguments", "generator_expression"})
_CONSTANT_NAMES = frozenset({"self", "cls", "this", "super", "undefined", "arguments"})


class Local(str):
    """The name of a local variable, among tokens."""

    __slots__ = ()


Resolve = Callable[[Node, str], "list[str] | None"]


def digest(tokens: Iterable[str], size: int = 8) -> str:
    """Return a digest of tokens, 16 hex digits unless told otherwise."""
    data = "\x1f".join(tokens).encode("utf-8", "replace")
    return hashlib.blake2b(data, digest_size=size).hexdigest()


def name_digest(name: str) -> str:
    """Return a short digest of a local name."""
    return hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=4).hexdigest()


def term(tokens: Sequence[str], prefix: str = "") -> CodeTerm:
    """Return the term of an expression's tokens."""
    names = [name_digest(token) for token in tokens if isinstance(token, Local)]
    shape = digest([prefix, *("\0" if isinstance(token, Local) else token for token in tokens)])
    return CodeTerm(shape, names[:100])


def numbered(tokens: Iterable[str]) -> list[str]:
    """Return the tokens with local names numbered in the order in which they come."""
    numbers: dict[str, int] = {}
    return [
        f"\0{numbers.setdefault(token, len(numbers))}" if isinstance(token, Local) else token
        for token in tokens
    ]


def anonymous(tokens: Iterable[str]) -> list[str]:
    """Return the tokens with all local names equal."""
    return ["\0" if isinstance(token, Local) else token for token in tokens]


def tokens_of(
    nodes: Node | Sequence[Node], locals_: frozenset[str], resolve: Resolve | None = None
) -> list[str]:
    """Return the tokens of one or more nodes. `resolve` gives the tokens that a name stands for, or None."""
    # Each with its type, its parent with its type, and what follows it: asking a node for these takes long.
    stack: list[_Entry] = []
    for node in reversed(nodes) if isinstance(nodes, Sequence) else (nodes,):
        parent = node.parent
        stack.append((node, node.type, parent, parent.type if parent is not None else "", None))
    result: list[str] = []
    while stack and len(result) < MAX_TOKENS:
        node, kind, parent, parent_kind, following = stack.pop()
        if kind in _UNSEEN or (kind in _MAY_BE_HARMLESS and _is_harmless(node, kind, following)):
            continue
        if kind in _TEXTS:
            _append_text(result, text_of(node))
        elif children := node.children:
            after: Node | None = None
            for child in reversed(children):
                child_kind = child.type
                if child_kind not in COMMENTS:
                    stack.append((child, child_kind, node, kind, after))
                    after = child
        elif kind in _VARIABLES:
            text = text_of(node)
            if parent_kind in _WITH_MEMBERS and _is_member(node, parent):
                result += [text] if text else []
            else:
                _append_name(result, node, text, locals_, resolve)
        else:
            _append_leaf(result, node, kind, parent_kind, following, locals_, resolve)
    return result


#: Node, type, parent, parent's type, next sibling.
_Entry = tuple[Node, str, Node | None, str, Node | None]


def _append_leaf(
    result: list[str],
    node: Node,
    kind: str,
    parent_kind: str,
    following: Node | None,
    locals_: frozenset[str],
    resolve: Resolve | None,
) -> None:
    text = text_of(node)
    if kind in {"string_start", "string_end"}:
        prefix = text.rstrip("\"'").lower().replace("u", "")
        result.append("f'" if "f" in prefix else "b'" if "b" in prefix else "'")
    elif text in {'"', "'", "`"}:
        result.append("'")
    elif text in _BRACKETS:
        if parent_kind in _CALL_BRACKETS:
            result.append(text)
    elif text == ";" or (text == "," and (following is None or text_of(following)[:1] in {")", "]", "}"})):
        return
    elif kind == "shorthand_property_identifier":
        result += [text, ":"]
        _append_name(result, node, text, locals_, resolve)
    elif kind in LITERALS:
        result.append(text.lower() if kind in {"integer", "float", "number"} else text)
    elif text.strip():
        result.append({"===": "==", "!==": "!=", "<>": "!="}.get(text, text))


def _append_name(
    result: list[str], node: Node, text: str, locals_: frozenset[str], resolve: Resolve | None
) -> None:
    if text in _CONSTANT_NAMES:
        result.append(text)
        return
    resolved = resolve(node, text) if resolve is not None else None
    if resolved is not None:
        result += resolved
    else:
        result.append(Local(text) if text in locals_ else text)


def _append_text(result: list[str], text: str) -> None:
    """Text of a string: an escaped quote is a quote, and lines may be indented otherwise."""
    text = text.replace("\\'", "'").replace('\\"', '"').replace("\\`", "`")
    if "\n" in text:
        text = "\n".join(line.strip() for line in text.split("\n"))
    result.append(text)


def _is_member(node: Node, parent: Node | None) -> bool:
    """Is the identifier an attribute's or an argument's name, not a variable?"""
    if parent is None:
        return False
    if parent.type == "attribute":
        return parent.child_by_field_name("attribute") == node
    if parent.type == "keyword_argument":
        return parent.child_by_field_name("name") == node
    return False


def _is_harmless(node: Node, kind: str, following: Node | None) -> bool:
    """Is it a constant argument that doesn't matter, or the comma before one?"""
    if kind == ",":
        return following is not None and _is_harmless(following, following.type, None)
    if kind not in {"keyword_argument", "pair"}:
        return False
    name = node.child_by_field_name("name") or node.child_by_field_name("key")
    value = node.child_by_field_name("value")
    return (
        name is not None
        and value is not None
        and value.type in LITERALS | {"attribute"}
        and text_of(name).strip("\"'") in HARMLESS_ARGUMENTS
    )
