"""Read MITRE D3FEND, an OWL ontology: its countermeasures and defensive tactics.

Format: https://d3fend.mitre.org/resources/ontology/ (Turtle; also RDF/XML and JSON-LD). A technique is a
class with a `d3fend-id`. Its effects on artifacts are OWL restrictions
(https://www.w3.org/TR/owl2-primer/), and its tactic is in a restriction of the class or of a class above
it. pyoxigraph reads 2.5 MB in 0.05 CPU-seconds; rdflib, in Python, takes seconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import pyoxigraph as ox

from securetag.errors import SourceError
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, read_bytes
from securetag.extractors.text import prose
from securetag.extractors.text.xml_doc import check_root
from securetag.records import Facts, Status

_D3F = "http://d3fend.mitre.org/ontologies/d3fend.owl#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_OWL = "http://www.w3.org/2002/07/owl#"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_ALT_LABEL = "http://www.w3.org/2004/02/skos/core#altLabel"
_TACTIC = f"{_D3F}DefensiveTactic"
#: Maximum statements of one file; D3FEND has 32,000.
MAX_STATEMENTS = 1_000_000
#: Maximum depth of the class hierarchy; D3FEND has 9.
MAX_DEPTH = 50
#: Properties with ids of copied entries → the publication that they come from.
_FOREIGN_IDS = {"attack-id": "ATT&CK", "cwe-id": "CWE", "capec-id": "CAPEC"}
_EMPTY_SECTION = re.compile(r"^#+ References\s*\n(?:(?!^#).*\n?)*", re.M | re.I)

Node = ox.NamedNode | ox.BlankNode


class Graph:
    """Statements by subject and predicate, the order of the file kept."""

    def __init__(self, data: bytes, kind: ox.RdfFormat) -> None:
        """Parse a graph. Raises SourceError."""
        self.subjects: dict[str, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
        try:
            for number, statement in enumerate(ox.parse(data, format=kind, base_iri=_D3F)):
                if number >= MAX_STATEMENTS:
                    raise SourceError(f"an ontology of more than {MAX_STATEMENTS:,} statements")
                self.subjects[_id(statement.subject)][statement.predicate.value].append(statement.object)
        except (SyntaxError, ValueError) as error:
            raise SourceError(f"not the {kind.name} that was expected: {error}") from error

    def nodes(self, subject: str, predicate: str) -> list[str]:
        """List the ids of the objects that are nodes."""
        objects = self._objects(subject, predicate)
        return [_id(value) for value in objects if isinstance(value, ox.NamedNode | ox.BlankNode)]

    def texts(self, subject: str, predicate: str) -> list[str]:
        """List the values of the objects that are literals."""
        return [value.value for value in self._objects(subject, predicate) if isinstance(value, ox.Literal)]

    def text(self, subject: str, predicate: str) -> str:
        return next(iter(self.texts(subject, predicate)), "")

    def label(self, subject: str) -> str:
        return self.text(subject, f"{_RDFS}label") or _local(subject)

    def restrictions(self, subject: str) -> Iterator[tuple[str, str]]:
        """Yield (relation, target) of each restriction among a class's superclasses."""
        for above in self.nodes(subject, f"{_RDFS}subClassOf"):
            for relation in self.nodes(above, f"{_OWL}onProperty"):
                for target in self.nodes(above, f"{_OWL}someValuesFrom"):
                    yield _local(relation), target

    def above(self, subject: str) -> Iterator[str]:
        """Yield the class and its superclasses, nearest first, each once."""
        seen, level = {subject}, [subject]
        for _ in range(MAX_DEPTH):
            yield from level
            level = [
                up
                for below in level
                for up in self.nodes(below, f"{_RDFS}subClassOf")
                if up not in seen and not seen.add(up)  # type: ignore[func-returns-value]
            ]

    def _objects(self, subject: str, predicate: str) -> list[object]:
        statements = self.subjects.get(subject)
        return statements.get(predicate, []) if statements else []


class D3fendReader(Reader):
    """Reads the ontology in any of its three forms."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        graph = Graph(read_bytes(file), _format(file))
        mitigations = _group_mitigations(graph)
        read = False
        for subject in sorted(graph.subjects):
            if key := graph.text(subject, f"{_D3F}d3fend-id"):
                read = True
                yield self._technique(graph, subject, key, mitigations.get(subject, []), file)
            elif _TACTIC in graph.nodes(subject, _TYPE):
                read = True
                yield self._tactic(graph, subject, file)
            else:
                copied = next(
                    (of for name, of in _FOREIGN_IDS.items() if graph.text(subject, _D3F + name)), None
                )
                if copied:
                    yield Drop(
                        f"an entry of {copied}, which its own publication says better", _curie(subject)
                    )
        if not read:
            yield Drop("an ontology without countermeasures")

    def _technique(
        self, graph: Graph, subject: str, key: str, mitigations: list[str], file: FetchedFile
    ) -> Item:
        if f"{_D3F}DefensiveTechnique" not in graph.above(subject):
            return Drop("a method of data analysis, no countermeasure", _curie(subject))
        article = _EMPTY_SECTION.sub("", prose.clean(graph.text(subject, f"{_D3F}kb-article")))
        definition = prose.clean(graph.text(subject, f"{_D3F}definition"))
        ids_above = (graph.text(up, f"{_D3F}d3fend-id") for up in graph.above(subject) if up != subject)
        parents = [parent_id for parent_id in ids_above if parent_id][:1]
        references = graph.nodes(subject, f"{_D3F}kb-reference")
        return self.record(
            file,
            key=key,
            title=graph.label(subject),
            text="\n\n".join(
                part for part in (definition, article.strip(), _render_artifacts(graph, subject)) if part
            ),
            locator=_curie(subject),
            url=f"https://d3fend.mitre.org/technique/{_curie(subject)}/",
            facts=Facts(
                kind="countermeasure",
                parents=parents,
                related=mitigations,
                aliases=list(dict.fromkeys(_synonyms(graph, subject))),
                tactics=_list_tactics(graph, subject),
                references=[link for ref in references for link in graph.texts(ref, f"{_D3F}has-link")],
                published=graph.text(subject, f"{_D3F}created")[:10] or None,
            ),
            status=_status(graph, subject),
            lang=self.source.lang,
            is_lang_certain=True,
        )

    def _tactic(self, graph: Graph, subject: str, file: FetchedFile) -> Item:
        return self.record(
            file,
            key=_curie(subject),
            title=graph.label(subject),
            text=prose.clean(graph.text(subject, f"{_D3F}definition")),
            locator=_curie(subject),
            url=f"https://d3fend.mitre.org/tactic/{_curie(subject)}/",
            facts=Facts(kind="tactic"),
            status=_status(graph, subject),
            lang=self.source.lang,
            is_lang_certain=True,
        )


def _format(file: FetchedFile) -> ox.RdfFormat:
    """Detect the format by content: RDF/XML (without a DTD), JSON-LD, else Turtle. Raises SourceError."""
    start = read_bytes(file)[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"<?xml", b"<rdf:RDF", b"<!")):
        check_root(file.path, "RDF")
        return ox.RdfFormat.RDF_XML
    return ox.RdfFormat.JSON_LD if start.startswith((b"{", b"[{")) else ox.RdfFormat.TURTLE


def _id(node: object) -> str:
    """Return an IRI, or a blank node's name, which no IRI can equal."""
    if isinstance(node, ox.NamedNode):
        return node.value
    return f"_:{node.value}" if isinstance(node, ox.BlankNode) else ""


def _local(iri: str) -> str:
    return iri.rsplit("#", 1)[-1]


def _curie(iri: str) -> str:
    return f"d3f:{_local(iri)}"


def _status(graph: Graph, subject: str) -> Status:
    deprecated = graph.text(subject, f"{_OWL}deprecated").lower() in {"true", "1"}
    return Status.DEPRECATED if deprecated else Status.ACTIVE


def _synonyms(graph: Graph, subject: str) -> Iterator[str]:
    for predicate in (f"{_D3F}synonym", _ALT_LABEL):
        yield from (prose.clean_line(name) for name in graph.texts(subject, predicate))


def _list_tactics(graph: Graph, subject: str) -> list[str]:
    """List the tactics of the nearest class that names any: a subclass inherits them."""
    for class_id in graph.above(subject):
        stated = [target for relation, target in graph.restrictions(class_id) if relation == "enables"]
        stated += graph.nodes(class_id, f"{_D3F}enables")
        tactics = [graph.label(target) for target in stated if _TACTIC in graph.nodes(target, _TYPE)]
        if tactics:
            return list(dict.fromkeys(tactics))
    return []


def _render_artifacts(graph: Graph, subject: str) -> str:
    lines = [
        f"- {relation.replace('-', ' ')} {graph.label(target)}"
        for relation, target in graph.restrictions(subject)
        if relation != "enables"
    ]
    return "## Digital artifacts\n\n" + "\n".join(dict.fromkeys(lines)) if lines else ""


def _group_mitigations(graph: Graph) -> dict[str, list[str]]:
    """Group keys of ATT&CK's mitigations by the technique that D3FEND relates to them."""
    by_technique: dict[str, list[str]] = defaultdict(list)
    for subject in sorted(graph.subjects):
        if any(
            _local(kind).startswith("ATTACK") and "Mitigation" in kind for kind in graph.nodes(subject, _TYPE)
        ):
            for predicate in ("related", "exactly", "broader", "narrower"):
                for target in graph.nodes(subject, _D3F + predicate):
                    by_technique[target].append(_local(subject))
    return by_technique
