"""OSCAL's parts and parameters → clean Markdown, as the publication itself prints a control.

A parameter stands in prose as `{{ insert: param, ac-1_prm_1 }}`. NIST prints it as `[Assignment:
organization-defined frequency]` or, where an organisation chooses, `[Selection (one or more): …; …]`;
choices hold parameters in their turn. https://pages.nist.gov/OSCAL/learn/concepts/layer/control/catalog/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from securetag.errors import SourceError
from securetag.extractors.readers.oscal.model import Param, Part, Prop
from securetag.extractors.text import prose

#: Characters that one parameter may become; the longest of SP 800-53 has 800.
MAX_PARAMETER = 20_000

#: Drafts of OSCAL leave out the words before the id; then only a known one is a parameter.
_INSERT = re.compile(r"\{\{\s*(?P<says>insert:\s*)?(?:param\s*[,:]\s*)?(?P<id>[\w.\-\[\]()]+)\s*\}\}")
#: Holds a parameter's place while the prose around it is cleaned: `[…]:` would be taken for a link.
_HELD = re.compile("\ue002(\\d+)\ue003")
_POINTER = re.compile(r"\[\s*\]\(#[^()\s]*\)\s*")
#: Blanks that the conversion from XML left around what was markup.
_LOOSE = re.compile(r"(?<=\n\n) (?=\S)|(?<=\() +(?=\S)|(?<=\S) +(?=\))|(?<=[\])]) +(?=[;,.:](?:\s|$))")
_UNKNOWN = "[Assignment: organization-defined value]"
_HOW_MANY = {"one-or-more": " (one or more)", "one": " (one)"}


def value_of(props: Iterable[Prop], name: str, class_: str = "") -> str:
    """The value of the first property of that name and class."""
    return next((prop.value for prop in props if prop.name == name and prop.class_ == class_), "")


class Parameters:
    """A document's parameters, each rendered once."""

    def __init__(self, params: Iterable[Param]) -> None:
        self._params: dict[str, Param] = {}
        for param in params:
            self._params.setdefault(param.id, param)
            for prop in param.props:
                if prop.name == "alt-identifier":
                    self._params.setdefault(prop.value, param)
        self._rendered: dict[str, str] = {}

    def resolve(self, text: str) -> str:
        """Clean Markdown of a piece of prose. Raises SourceError for parameters that blow up."""
        held: list[str] = []

        def hold(match: re.Match[str]) -> str:
            if not match["says"] and match["id"] not in self._params:
                return match[0]
            held.append(self._render(match["id"]))
            return f"\ue002{len(held) - 1}\ue003"

        clean = prose.clean(_INSERT.sub(hold, _LOOSE.sub("", _POINTER.sub("", text))))
        whole = _HELD.sub(lambda match: held[int(match[1])] if int(match[1]) < len(held) else "", clean)
        return prose.map_prose(whole, lambda piece: _LOOSE.sub("", piece))

    def _render(self, name: str) -> str:
        if name not in self._rendered:
            self._rendered[name] = _UNKNOWN  # what a parameter that holds itself shows inside
            text = self._written(self._params[name]) if name in self._params else _UNKNOWN
            if len(text) > MAX_PARAMETER:
                raise SourceError(f"the parameter {name} becomes more than {MAX_PARAMETER:,} characters")
            self._rendered[name] = text
        return self._rendered[name]

    def _written(self, param: Param) -> str:
        if param.values:
            return ", ".join(self._line(value) for value in param.values)
        if param.select is not None:
            choices = [self._line(choice) for choice in param.select.choice]
            how_many = _HOW_MANY.get(param.select.how_many, "")
            return f"[Selection{how_many}: {'; '.join(choice for choice in choices if choice)}]"
        label = self._line(value_of(param.props, "alt-label", "sp800-53") or param.label)
        if not label:
            parts = [
                self._params[p.value].label
                for p in param.props
                if p.name == "aggregates" and p.value in self._params
            ]
            label = "; ".join(dict.fromkeys(self._line(part) for part in parts if part))
        if not label:
            return _UNKNOWN
        organization = "" if label.lower().startswith("organization-defined") else "organization-defined "
        return f"[Assignment: {organization}{label}]"

    def _line(self, text: str) -> str:
        return " ".join(self.resolve(text).split())


def statement(part: Part, parameters: Parameters, key: str) -> str:
    """A part with the parts inside it: its prose, then a list of its items with their labels."""
    blocks = [parameters.resolve(part.prose)]
    blocks.append("\n".join(_item(inner, parameters, key, 0) for inner in part.parts))
    return "\n\n".join(block for block in blocks if block.strip())


def _item(part: Part, parameters: Parameters, key: str, depth: int) -> str:
    text = parameters.resolve(part.prose)
    words = " ".join(word for word in (item_label(part, key), text) if word)
    indent = "  " * depth
    lines = [f"{indent}- " + words.replace("\n", f"\n{indent}  ")] if words else []
    lines += [_item(inner, parameters, key, depth + 1) for inner in part.parts]
    return "\n".join(line for line in lines if line.strip())


def item_label(part: Part, key: str) -> str:
    """`a.` or `(1)` as printed; of a label that repeats the control's key, what comes last."""
    label = value_of(part.props, "label")
    if key and key in label:
        last = label.rpartition(key)[2].strip(".").rpartition(".")[2]
        return f"{last}." if last else ""
    return label


def joined(parts: Mapping[str, str]) -> str:
    """Heading → text, the first without a heading of its own where that is empty."""
    return "\n\n".join(
        f"## {heading}\n\n{text}" if heading else text for heading, text in parts.items() if text
    )
