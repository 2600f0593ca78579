"""Convert reStructuredText to HTML with docutils, without reading another file or running anything.

Sphinx's directives and roles, and any that docutils doesn't know, keep their text: what shows code becomes
code, what describes an object is headed by its signature, and what only builds a page (`toctree`) goes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from securetag.errors import SourceError

#: Characters of one document; docutils takes some 10 CPU-seconds for a million.
MAX_RST_CHARS = 2 << 20
#: Marks of inline markup in one paragraph, in whose number docutils takes quadratic time: 2 s for so many.
MAX_MARKS = 4_000
_MARK = re.compile(r"\w_\b|`|:(?=\w)|\*(?=\S)|\|(?=\S)")
#: Directives whose content isn't text: they build pages or read other files and code.
_MACHINERY = frozenset(
    {"toctree", "index", "include", "literalinclude", "raw", "graphviz", "digraph", "graph", "uml", "mermaid"}
    | {"image", "figure", "only", "tabularcolumns", "sectionauthor", "codeauthor", "currentmodule", "module"}
    | {
        "highlight",
        "contents",
        "plot",
        "program",
        "default-domain",
        "testsetup",
        "testcleanup",
        "inheritance-diagram",
    }
    | {"automodule", "autoclass", "autofunction", "automethod", "autoexception", "autodata", "autoattribute"}
    | {"autosummary", "automodsumm", "click", "argparse", "swagger", "openapi", "meta", "title", "sectnum"}
)
#: Directives whose content is code that docutils doesn't know; of the prompt and doctest kinds.
_CODE = frozenset(
    {
        "code",
        "code-block",
        "sourcecode",
        "prompt",
        "testcode",
        "testoutput",
        "doctest",
        "ipython",
        "console",
        "productionlist",
        "http",
    }
)
_DIRECTIVE = re.compile(r"^[ \t]*(?:[|*+-][ \t]+)?\.\. (?:\|[^|\n]+\| )?([A-Za-z][\w:.+-]*)::", re.M)
#: Sphinx's fields of a page.
_PAGE_FIELD = re.compile(r"^:(?:orphan|tocdepth|nocomments|nosearch|no-search):.*\n", re.M)
_ROLE = re.compile(r"(?<![\w:.+-]):([A-Za-z][\w:.+-]{0,60}):`")
_TARGET = re.compile(r"^(?P<words>.+?)\s*<[^<>]*>$", re.S)


def convert_rst(text: str) -> tuple[str, list[str]]:
    """Return a document in reStructuredText as HTML, and what docutils couldn't read, each with its line.

    The title is H1, sections are H2 on. Raises SourceError for a document that is too long, or that docutils
    can't read at all.
    """
    if len(text) > MAX_RST_CHARS:
        raise SourceError(f"reStructuredText of more than {MAX_RST_CHARS >> 20} MiB")
    from docutils.core import publish_doctree, publish_from_doctree

    if any(len(_MARK.findall(paragraph)) > MAX_MARKS for paragraph in text.split("\n\n")):
        raise SourceError(f"reStructuredText with a paragraph of more than {MAX_MARKS:,} marks")
    text = _PAGE_FIELD.sub("", text)
    _register_unknown(text)
    try:
        document = publish_doctree(text, settings_overrides=_SETTINGS)
        html = publish_from_doctree(document, writer="html5", settings_overrides=_SETTINGS).decode()
    except RecursionError as error:
        raise SourceError("nested too deeply") from error
    except Exception as error:  # docutils raises many types of its own for text that it can't take
        raise SourceError(f"not reStructuredText that docutils reads: {type(error).__name__}") from error
    lost = [
        f"line {message.get('line', '?')}: {message.astext().split(chr(10))[0]}"
        for message in document.parse_messages
        if message["level"] >= _ERROR and "directive" in message.astext()
    ]
    html = html[html.index("<body") :]
    html = re.sub(r'<span class="docutils literal">(.*?)</span>', r"<code>\1</code>", html, flags=re.S)
    html = re.sub(r'<pre class="code ([\w+#.-]+) literal-block">', r'<pre data-lang="\1">', html)
    html = re.sub(r'<p class="(?:admonition-title|rubric)">(.*?)</p>', r"<p><strong>\1</strong></p>", html)
    return html, lost


#: docutils' level of an error, whose construct is lost.
_ERROR = 3
_SETTINGS = {
    "_disable_config": True,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "halt_level": 6,
    "report_level": 5,
    "warning_stream": False,
    "syntax_highlight": "none",
    "line_length_limit": MAX_RST_CHARS,
    "initial_header_level": 2,
    "embed_stylesheet": False,
    "smart_quotes": False,
}


def _register_unknown(text: str) -> None:
    """Make docutils know the directives and roles of `text` that it has no definition of."""
    from docutils.parsers.rst import directives, roles
    from docutils.parsers.rst.languages import en

    for name in set(_DIRECTIVE.findall(text)):
        lower = name.lower()
        if lower in _MACHINERY or lower in _CODE or lower not in en.directives:
            directives.register_directive(lower, _make_directive(lower))
    for name in set(_ROLE.findall(text)):
        if name.lower() not in en.roles:
            roles.register_local_role(name.lower(), _keep_words)


def _make_directive(name: str) -> type:
    from docutils import nodes
    from docutils.parsers.rst import Directive, directives

    short = name.rsplit(":", 1)[-1]

    class AnyDirective(Directive):  # type: ignore[misc]  # docutils has no types
        has_content = True
        optional_arguments = 1
        final_argument_whitespace = True
        option_spec = _AnyOption(lambda: directives.unchanged)

        def run(self) -> list[object]:
            if short in _MACHINERY or name in _MACHINERY:
                return []
            head = self.arguments[0] if self.arguments else ""
            code = "\n".join(self.content)
            if short in _CODE:
                classes = ["code", head] if re.fullmatch(r"[\w+#.-]+", head) else []
                return [nodes.literal_block(code, code, classes=classes)] if code.strip() else []
            holder = nodes.container()
            if name in _NOTES:
                words, messages = self.state.inline_text(head, self.lineno)
                holder += nodes.paragraph("", "", nodes.strong("", _NOTES[name]), nodes.Text(" "), *words)
                holder += messages
            elif head:
                signatures = [nodes.literal("", line.strip()) for line in head.split("\n")]
                holder += [nodes.paragraph("", "", signature) for signature in signatures]
            self.state.nested_parse(self.content, self.content_offset, holder)
            return [*holder.children]

    return AnyDirective


#: Sphinx's directives whose name is a part of the text → the words for it.
_NOTES = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "versionremoved": "Removed in version",
    "deprecated": "Deprecated since version",
    "seealso": "See also",
    "todo": "To do",
}


class _AnyOption(defaultdict[str, Callable[[str], str]]):
    """An option specification that takes every option."""

    def __contains__(self, name: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


def _keep_words(
    role: str, rawtext: str, text: str, *_: object, **__: object
) -> tuple[list[object], list[object]]:
    """Return the words of a role: of `:ref:` and `:doc:` as text, of a name in code as code."""
    from docutils import nodes, utils

    match = _TARGET.match(text)
    words = utils.unescape(match["words"] if match else text).removeprefix("~").removeprefix("!")
    if role.rsplit(":", 1)[-1] in {
        "ref",
        "doc",
        "term",
        "abbr",
        "menuselection",
        "guilabel",
        "dfn",
        "numref",
    }:
        return [nodes.Text(words)], []
    return [nodes.literal(rawtext, words)], []
