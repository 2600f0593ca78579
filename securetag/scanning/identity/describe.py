"""What a flagged piece of code is, whatever its layout and names: a fingerprint and a CodeIdentity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from securetag.records import CodeIdentity, CodeTerm
from securetag.scanning.identity.flow import MAX_CALLS, File, Flow, class_around
from securetag.scanning.identity.guards import facts_at
from securetag.scanning.identity.imports import is_passed_on, names_imported_from
from securetag.scanning.identity.lex import normalised
from securetag.scanning.identity.syntax import (
    BLOCKS,
    CALLS,
    CLASSES,
    COMMENTS,
    COMPOUND,
    FUNCTIONS,
    ancestors,
    contains,
    functions_around,
    head_children,
    name_of,
    parse,
    statement_of,
    walk,
)
from securetag.scanning.identity.terms import anonymous, digest, name_digest, numbered, term, tokens_of

#: Values of a sketch: the error of a similarity of .5 is about .08.
SKETCH = 40
MAX_TERMS = 60
MAX_NAMES = 200
MAX_OUTER = 100
#: Callers that are followed outwards.
MAX_CHAIN = 4


@dataclass(frozen=True)
class Described:
    """What enters the fingerprint, and the identity."""

    #: Tokens of the flagged statement, local names numbered.
    statement: str
    #: Digest of the kinds of statements in the function.
    shape: str
    identity: CodeIdentity
    #: Name of the function, if it is one of the module's that nothing in its file calls.
    uncalled: str = ""


class CodeFile:
    """One file's code, described place by place."""

    def __init__(self, content: bytes, language: str) -> None:
        self.content = content
        self.language = language

    @cached_property
    def file(self) -> File | None:
        """The parsed file; None for a language without a grammar, and for one that is too large or deep."""
        tree = parse(self.content, self.language)
        return File(tree, self.content) if tree is not None else None

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]

    def describe(self, start: int, end: int, code_around: str) -> Described:
        """Describe the code between two byte offsets.

        `code_around` stands in for its function where the language has no grammar.
        """
        if self.file is None:
            return self._describe_text(start, end, code_around)
        node = _node_at(self.file.root, start, end)
        return _Describer(self.file, node, self._digest).describe()

    def digest_called_from(self, other: CodeFile, path: str, start: int, end: int) -> str:
        """Return the digest of a place whose function is called once, in the other file; else empty.

        What the function's file imports from the other one, which has this path, is followed.
        """
        if self.file is None or other.file is None:
            return ""
        node = _node_at(self.file.root, start, end)
        joined = self.file.joined_with(other.file, names_imported_from(path, self.file.root))
        return _Describer(joined, node, self._digest).digest_called_from(other.file)

    def _describe_text(self, start: int, end: int, code_around: str) -> Described:
        """Without a tree any edit of the function may be one of its guard, and makes a verdict stale."""
        code = self.content[start:end].decode("utf-8", errors="replace")
        statement = normalised(code, self.language)
        around = normalised(code_around, self.language).split(" ")
        sink, guards = term([statement]), [term(around)]
        identity = CodeIdentity(
            digest=digest([sink.shape, guards[0].shape]),
            file=self._digest,
            statement=digest([statement]),
            body=sketch(around),
            sink=sink,
            guards=guards,
        )
        return Described(statement, "", identity)


def describe_alone(code: str, language: str) -> Described:
    """Describe a piece of code whose file isn't there. Its identity is of little use: it has no function."""
    content = code.encode("utf-8", errors="replace")
    return CodeFile(content, language).describe(0, len(content), code)


def _count_mentions(file: File, name: str) -> int:
    """Count where a file has the name, comments, imports and exports apart."""
    pattern = re.compile(rb"(?<![\w$])" + re.escape(name.encode()) + rb"(?![\w$])")
    count = 0
    for match in pattern.finditer(file.content):
        node = file.root.descendant_for_byte_range(match.start(), match.end() - 1)
        count += node is not None and not _is_in_comment(node) and not is_passed_on(node)
    return count


def _is_in_comment(node: Node) -> bool:
    return any(each.type in COMMENTS for each in (node, *ancestors(node)))


@dataclass(frozen=True)
class CallSite:
    """A call of a function, which may be defined in another file than the call is in."""

    #: Of the call.
    file: File
    call: Node
    callee: Node


class _Describer:
    def __init__(self, file: File, node: Node, file_digest: str) -> None:
        self._file = file
        self._node = node
        self._file_digest = file_digest
        self._statement = statement_of(node)
        around = functions_around(node)
        self._function = around[0] if around else None
        self._names = file.names_at(node)
        self._callers: list[str] = []
        self._caller_names: set[str] = set()

    def describe(self) -> Described:
        """Describe the node's place."""
        call = _sink_call(self._node, self._statement)
        outer: dict[str, str] = {}
        chain = self._caller_chain(self._file, self._function)
        for site in chain:
            self._callers.append(_qualified(_function_of(site.call)))
            self._caller_names |= self._file.names_at(site.call)
        sink, sources, guards = self._follow(call, chain, outer)
        statement = numbered(tokens_of(_code_of(self._statement), self._names))
        identity = CodeIdentity(
            digest=_digest_terms([sink], sources, guards),
            file=self._file_digest,
            statement=digest(statement),
            context=_context(self._statement, self._names),
            body=sketch(self._body()),
            sink=sink,
            sources=sources,
            guards=guards,
            local_names=sorted(map(name_digest, self._names | self._caller_names))[:MAX_NAMES],
            callers=self._callers,
            own_digest=self._own_digest(call),
            outer_names=sorted(name_digest(name) + value[:8] for name, value in outer.items())[:MAX_OUTER],
        )
        return Described(" ".join(statement), self._shape(), identity, self._uncalled())

    def digest_called_from(self, other: File) -> str:
        """Return the digest with the only caller that the other file has; empty where it has another use."""
        name = self._uncalled()
        calls = other.calls(name) if name else []
        if (
            self._function is None
            or len(calls) != 1
            or _count_mentions(other, name) != 1
            or other.functions(name)
        ):
            return ""
        first = CallSite(other, calls[0], self._function)
        chain = [first, *self._caller_chain(other, _function_of(calls[0]))][:MAX_CHAIN]
        sink, sources, guards = self._follow(_sink_call(self._node, self._statement), chain, {})
        return _digest_terms([sink], sources, guards)

    def _uncalled(self) -> str:
        """Return the name of a function of the module that its file doesn't use; else an empty text."""
        function = self._function
        if function is None or any(
            each.type in FUNCTIONS or each.type in CLASSES for each in ancestors(function)
        ):
            return ""
        name = name_of(function)
        return name if name and _count_mentions(self._file, name) == 1 else ""

    def _own_digest(self, call: Node) -> str:
        flow = Flow(self._file, self._function, is_own=True)
        guards = _unique([term(fact) for fact in facts_at(call, flow)])
        return _digest_terms([_sink_term(call, flow)], _unique(_source_terms(call, flow)), guards)

    def _follow(
        self, call: Node, chain: Sequence[CallSite], outer: dict[str, str]
    ) -> tuple[CodeTerm, list[CodeTerm], list[CodeTerm]]:
        """Return sink, sources and guards of the call, as the only caller of its function has them."""
        flow = Flow(self._file, self._function, outer=outer)
        if chain:
            flow = Flow(chain[-1].file, _function_of(chain[-1].call), outer=outer)
        facts: list[list[str]] = []
        for site in reversed(chain):
            facts += facts_at(site.call, flow)
            file = self._file if site.callee == self._function else site.file
            arguments = flow.arguments_of(site.call, file, site.callee)
            flow = Flow(file, site.callee, arguments or {}, outer=outer)
        # Sink and sources first: where a flow may follow no more, guards are what is cut short.
        sink, sources = _sink_term(call, flow), _unique(_source_terms(call, flow))
        facts += facts_at(call, flow)
        return sink, sources, _unique([term(fact) for fact in facts])

    def _caller_chain(self, file: File, function: Node | None) -> list[CallSite]:
        """Return the calls from a function of the file outwards, while there is one caller."""
        chain: list[CallSite] = []
        current = function
        visited: set[int] = set()
        while current is not None and len(chain) < MAX_CHAIN and current.id not in visited:
            visited.add(current.id)
            name = name_of(current)
            around, outer = class_around(current), _function_of(current)
            same = [
                each
                for each in file.functions(name)
                if class_around(each) == around and _function_of(each) == outer
            ]
            if not name or len(same) != 1:
                break
            # A method is called in its class; elsewhere the name may be that of another class's. So it is
            # with a function in another one.
            calls = file.calls(name)
            if len(calls) > MAX_CALLS:
                break
            calls = [call for call in calls if not contains(current, call)]
            calls = [call for call in calls if around is None or class_around(call) == around]
            calls = [call for call in calls if outer is None or contains(outer, call)]
            if len(calls) != 1:
                break
            chain.append(CallSite(file, calls[0], current))
            current = _function_of(calls[0])
        return chain

    def _body(self) -> list[str]:
        if self._function is not None:
            return self._file.body(self._function)
        return anonymous(tokens_of(_neighborhood(self._statement), self._names))

    def _shape(self) -> str:
        root = self._function or _top_level(self._statement)
        kinds = [
            node.type
            for node in walk(root, lambda each: each.type not in FUNCTIONS or each == root)
            if node.type in COMPOUND or node.type.endswith(("_statement", "_declaration"))
        ]
        return digest(kinds)


def sketch(tokens: Sequence[str]) -> list[int]:
    """Return the lowest digests of the token triples."""
    triples = (
        {tuple(tokens[place : place + 3]) for place in range(max(1, len(tokens) - 2))} if tokens else set()
    )
    return sorted(int(digest(triple, 4), 16) for triple in triples)[:SKETCH]


def _node_at(root: Node, start: int, end: int) -> Node:
    node = root.descendant_for_byte_range(start, max(start, end - 1)) or root
    if node.type in BLOCKS:
        # Several statements: what is reported ends with what it is about.
        inside = [child for child in node.named_children if child.start_byte < end and child.end_byte > start]
        inside = [child for child in inside if child.type not in COMMENTS] or [node]
        return inside[-1]
    for parent in ancestors(node):
        # The largest node of exactly this code: a string, not its quotes.
        if parent.start_byte < start or parent.end_byte > end or parent.type in BLOCKS:
            break
        node = parent
    return node


def _sink_call(node: Node, statement: Node) -> Node:
    """The call that is flagged, or in whose arguments the flagged code is; else the flagged code."""
    if node.type in CALLS:
        return node
    current = node
    for parent in ancestors(node):
        if not contains(statement, parent):
            break
        if parent.type in {"argument_list", "arguments"} and parent.parent is not None:
            return parent.parent
        current = parent
    if current.type in COMPOUND or node.type in COMPOUND:
        return node
    inside = walk(node, lambda each: each.type not in FUNCTIONS)
    return next((each for each in inside if each.type in CALLS), node)


def _sink_term(call: Node, flow: Flow) -> CodeTerm:
    callee = call.child_by_field_name("function") or call.child_by_field_name("constructor")
    if callee is None:
        return term([call.type])
    return term(flow.expand(callee), "call")


def _source_terms(call: Node, flow: Flow) -> list[CodeTerm]:
    arguments = call.child_by_field_name("arguments")
    if arguments is None or call.type not in CALLS:
        nodes = head_children(call) if call.type in COMPOUND else [call]
    elif arguments.type in {"generator_expression", "template_string"}:
        nodes = [arguments]
    else:
        nodes = [child for child in arguments.named_children if child.type not in COMMENTS]
    terms = []
    for node in nodes:
        if node.type in FUNCTIONS:
            # A callback runs later: what it does with the result isn't what the call gets.
            continue
        tokens = flow.expand(node)
        if tokens:
            terms.append(term(tokens))
    return terms


def _code_of(statement: Node) -> Node | list[Node]:
    return head_children(statement) if statement.type in COMPOUND else statement


def _context(statement: Node, names: frozenset[str]) -> list[str]:
    """Digests of two statements before, nearest last, and two after."""
    before, after = _siblings(statement, -1), _siblings(statement, 1)
    texts = [*reversed(before), *after]
    return [digest(anonymous(tokens_of(_code_of(node), names))) if node is not None else "" for node in texts]


def _siblings(statement: Node, step: int) -> list[Node | None]:
    result: list[Node | None] = []
    current = _block_child(statement)
    for _ in range(20):
        sibling = current.prev_named_sibling if step < 0 else current.next_named_sibling
        while sibling is not None and sibling.type in COMMENTS:
            sibling = sibling.prev_named_sibling if step < 0 else sibling.next_named_sibling
        if sibling is None or (current.parent is not None and current.parent.type not in BLOCKS):
            outer = current.parent
            if outer is None or outer.type in FUNCTIONS or outer.parent is None:
                break
            current = _block_child(outer)
            if step < 0 and current.type in COMPOUND:
                result.append(current)
        else:
            result.append(sibling)
            current = sibling
        if len(result) == 2:
            break
    return [*result, None, None][:2]


def _block_child(node: Node) -> Node:
    current = node
    for parent in ancestors(node):
        if parent.type in BLOCKS:
            return current
        current = parent
    return current


def _neighborhood(statement: Node) -> list[Node]:
    """At module level: the statement and up to three on either side."""
    place = _top_level(statement)
    siblings = [place]
    for step in (-1, 1):
        current: Node | None = place
        for _ in range(3):
            current = (
                None
                if current is None
                else (current.prev_named_sibling if step < 0 else current.next_named_sibling)
            )
            if current is not None and current.type not in COMPOUND:
                siblings.append(current)
    return sorted(siblings, key=lambda node: node.start_byte)


def _top_level(node: Node) -> Node:
    current = node
    for parent in ancestors(node):
        if parent.parent is None or parent.type == "class_body":
            return current
        current = parent
    return current


def _function_of(node: Node) -> Node | None:
    around = functions_around(node)
    return around[0] if around else None


def _qualified(function: Node | None) -> str:
    """The qualified name as `securetag.scanning.identity.scopes` makes it, of named functions."""
    if function is None:
        return ""
    names = []
    for node in (function, *ancestors(function)):
        if node.type in FUNCTIONS or node.type in {"class_definition", "class_declaration"}:
            name = name_of(node)
            if name:
                names.append(name)
    return ".".join(reversed(names))


def _unique(terms: Sequence[CodeTerm]) -> list[CodeTerm]:
    seen: dict[tuple[str, tuple[str, ...]], CodeTerm] = {}
    for each in terms:
        seen.setdefault((each.shape, tuple(each.names)), each)
    return list(seen.values())[:MAX_TERMS]


def _digest_terms(*groups: Sequence[CodeTerm]) -> str:
    parts = []
    for group in groups:
        parts.append("|")
        parts += sorted(" ".join([each.shape, *each.names]) for each in group)
    return digest(parts)
