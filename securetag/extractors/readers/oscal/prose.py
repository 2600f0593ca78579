"""Render OSCAL's parts and parameters as clean Markdown, as the publication prints a control.

A parameter in prose is written `{{ insert: param, ac-1_prm_1 }}`. NIST prints it as `[Assignment:
organization-defined frequency]` or, where an organization chooses, `[Selection (one or more): …; …]`;
choices may contain parameters. https://pages.nist.gov/OSCAL/learn/concepts/layer/control/catalog/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from securetag.errors import SourceError
from securetag.extractors.readers.oscal.model import Param, Part, Prop
from securetag.extractors.text import prose

#: Maximum characters of one rendered parameter; the longest of SP 800-53 has 800.
MAX_PARAMETER_CHARS = 20_000

#: Drafts of OSCAL omit the words before the id; then only the id of a parameter counts.
_INSERT = re.compile(r"\{\{\s*(?P<says>insert:\s*)?(?:param\s*[,:]\s*)?(?P<id>[\w.\-\[\]()]+)\s*\}\}")
#: Placeholder of a parameter while prose is cleaned, since `[…]:` looks like a link definition.
_PLACEHOLDER = re.compile("\ue002(\\d+)\ue003")
_EMPTY_LINK = re.compile(r"\[\s*\]\(#[^()\s]*\)\s*")
#: Spaces that the conversion from XML left around former markup.
_EXTRA_BLANKS = re.compile(r"(?<=\n\n) (?=\S)|(?<=\() +(?=\S)|(?<=\S) +(?=\))|(?<=[\])]) +(?=[;,.:](?:\s|$))")
_UNKNOWN_PARAMETER = "[Assignment: organization-defined value]"
_HOW_MANY = {"one-or-more": " (one or more)", "one": " (one)"}


def get_value(props: Iterable[Prop], name: str, class_: str = "") -> str:
    """Return the value of the first property with that name and class; empty without one."""
    return next((prop.value for prop in props if prop.name == name and prop.class_ == class_), "")


class Parameters:
    """The parameters of a document, each rendered once."""

    def __init__(self, params: Iterable[Param]) -> None:
        self._params: dict[str, Param] = {}
        for param in params:
            self._params.setdefault(param.id, param)
            for prop in param.props:
                if prop.name == "alt-identifier":
                    self._params.setdefault(prop.value, param)
        self._rendered: dict[str, str] = {}

    def resolve(self, text: str) -> str:
        """Return prose as clean Markdown. Raises SourceError for parameters that grow without limit."""
        rendered: list[str] = []

        def replace_insert(match: re.Match[str]) -> str:
            if not match["says"] and match["id"] not in self._params:
                return match[0]
            rendered.append(self._render(match["id"]))
            return f"\ue002{len(rendered) - 1}\ue003"

        clean = prose.clean(_INSERT.sub(replace_insert, _EXTRA_BLANKS.sub("", _EMPTY_LINK.sub("", text))))
        text_with_parameters = _PLACEHOLDER.sub(
            lambda match: rendered[int(match[1])] if int(match[1]) < len(rendered) else "", clean
        )
        return prose.map_prose(text_with_parameters, lambda piece: _EXTRA_BLANKS.sub("", piece))

    def _render(self, name: str) -> str:
        if name not in self._rendered:
            self._rendered[name] = _UNKNOWN_PARAMETER  # what a parameter that holds itself shows inside
            text = self._written(self._params[name]) if name in self._params else _UNKNOWN_PARAMETER
            if len(text) > MAX_PARAMETER_CHARS:
                raise SourceError(
                    f"the parameter {name} becomes more than {MAX_PARAMETER_CHARS:,} characters"
                )
            self._rendered[name] = text
        return self._rendered[name]

    def _written(self, param: Param) -> str:
        if param.values:
            return ", ".join(self._line(value) for value in param.values)
        if param.select is not None:
            choices = [self._line(choice) for choice in param.select.choice]
            how_many = _HOW_MANY.get(param.select.how_many, "")
            return f"[Selection{how_many}: {'; '.join(choice for choice in choices if choice)}]"
        label = self._line(get_value(param.props, "alt-label", "sp800-53") or param.label)
        if not label:
            parts = [
                self._params[p.value].label
                for p in param.props
                if p.name == "aggregates" and p.value in self._params
            ]
            label = "; ".join(dict.fromkeys(self._line(part) for part in parts if part))
        if not label:
            return _UNKNOWN_PARAMETER
        organization = "" if label.lower().startswith("organization-defined") else "organization-defined "
        return f"[Assignment: {organization}{label}]"

    def _line(self, text: str) -> str:
        return " ".join(self.resolve(text).split())


def render_part(part: Part, parameters: Parameters, key: str) -> str:
    """Return the prose of a part, then a list of the parts inside it with their labels."""
    blocks = [parameters.resolve(part.prose)]
    blocks.append("\n".join(_render_item(inner, parameters, key, 0) for inner in part.parts))
    return "\n\n".join(block for block in blocks if block.strip())


def _render_item(part: Part, parameters: Parameters, key: str, depth: int) -> str:
    text = parameters.resolve(part.prose)
    words = " ".join(word for word in (get_item_label(part, key), text) if word)
    indent = "  " * depth
    lines = [f"{indent}- " + words.replace("\n", f"\n{indent}  ")] if words else []
    lines += [_render_item(inner, parameters, key, depth + 1) for inner in part.parts]
    return "\n".join(line for line in lines if line.strip())


def get_item_label(part: Part, key: str) -> str:
    """Return `a.` or `(1)` as printed; of a label that repeats the control's key only its end."""
    label = get_value(part.props, "label")
    if key and key in label:
        last = label.rpartition(key)[2].strip(".").rpartition(".")[2]
        return f"{last}." if last else ""
    return label


def join_sections(parts: Mapping[str, str]) -> str:
    """Join heading → text; the text under an empty heading has none."""
    return "\n\n".join(
        f"## {heading}\n\n{text}" if heading else text for heading, text in parts.items() if text
    )
