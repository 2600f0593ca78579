"""Rewrite what pandoc misreads in an office file, before pandoc reads it.

pandoc 3.9 puts a blank between the runs of a slide's paragraph, which editors break within words. It takes
lines of code on slides and in an OpenDocument text for paragraphs, and doesn't see the title of the latter.
It drops the letter after a character of RTF whose replacement is a question mark, and takes code of a named
language in Textile for prose.
"""

from __future__ import annotations

import copy
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from securetag.errors import SourceError
from securetag.extractors.text.xml_doc import Element, parse_xml
from securetag.system.zips import DAMAGED_ZIP

#: A character of the private use area that marks a line of code for `join_code_lines`.
CODE_LINE = "\ue0c0"

_SLIDE = re.compile(r"ppt/(?:slides|notesSlides)/[^/]+\.xml$")
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _STYLE = f"{{{_OFFICE}text:1.0}}", f"{{{_OFFICE}style:1.0}}"
_CODE_STYLES = frozenset({"Preformatted_20_Text", "Source_20_Code", "Source_20_Text", "Preformatted"})
_UNICODE_OF_RTF = re.compile(rb"(\\u-?\d+)\?")
_LANGUAGE_OF_TEXTILE = re.compile(rb"^bc(?:\([^)\n]*\)|\[[^\]\n]*\])\.(?=[ \n])", re.M)
_MONOSPACED = re.compile(r"courier|consol|mono\b|menlo|monaco|\bcode\b|fixed", re.I)
_CODE_PARAGRAPHS = re.compile(rf"(?:<p>{CODE_LINE}.*?</p>\s*)+", re.S)


def rewrite_input(path: Path, ending: str, target: Path) -> str:
    """Write the document at `path` to `target` in a form that pandoc reads correctly.

    Return the title of an OpenDocument text; empty for other documents, whose title pandoc finds.

    Raises SourceError for a damaged archive or XML.
    """
    if ending == ".textile":
        target.write_bytes(_LANGUAGE_OF_TEXTILE.sub(rb"bc.", path.read_bytes()))
        return ""
    if ending == ".rtf":
        data = path.read_bytes()
        # Where a writer gives no replacements, a question mark is one.
        target.write_bytes(data if b"\\uc0" in data else _UNICODE_OF_RTF.sub(rb"\1\\'3f", data))
        return ""
    titles: list[str] = []
    if ending == ".odt":
        _copy_archive(
            path, target, re.compile(r"content\.xml$"), lambda root: titles.append(_mark_code(root))
        )
    else:
        _copy_archive(path, target, _SLIDE, _merge_runs)
    return titles[0] if titles else ""


def join_code_lines(html: str) -> str:
    """Return HTML in which paragraphs that are marked as lines of code are code blocks."""

    def join(match: re.Match[str]) -> str:
        lines = re.findall(rf"<p>{CODE_LINE}(.*?)</p>", match[0], re.S)
        # pandoc wraps its HTML: a line end within a paragraph is a blank, and <br /> a line end.
        joined = "\n".join(re.sub(r"<br />\s*", "\0", line).replace("\n", " ") for line in lines)
        return f"<pre><code>{joined.replace(chr(0), chr(10))}</code></pre>\n"

    return _CODE_PARAGRAPHS.sub(join, html)


def _copy_archive(path: Path, target: Path, name: re.Pattern[str], change: Callable[[Element], None]) -> None:
    from lxml import etree

    try:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
            for info in archive.infolist():
                data = archive.read(info)
                if name.match(info.filename):
                    root = parse_xml(data)
                    change(root)
                    data = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
                out.writestr(info.filename, data)
    except DAMAGED_ZIP as error:
        raise SourceError(f"a damaged archive: {error}") from error


def _merge_runs(root: Element) -> None:
    """Merge the runs of each paragraph of a slide into one; a line break begins a new paragraph."""
    run, line_break, field = f"{_DRAWING}r", f"{_DRAWING}br", f"{_DRAWING}fld"
    for paragraph in list(root.iter(f"{_DRAWING}p")):
        lines: list[list[Element]] = [[]]
        for child in paragraph.findall("*"):
            if child.tag == line_break:
                lines.append([])
            elif child.tag in (run, field):
                lines[-1].append(child)
        for runs in reversed(lines[1:]):
            following = paragraph.makeelement(paragraph.tag)
            if (properties := paragraph.find(f"{_DRAWING}pPr")) is not None:
                following.append(copy.deepcopy(properties))
            paragraph.addnext(following)
            _append_merged(following, runs)
        for child in paragraph.findall(line_break):
            paragraph.remove(child)
        _append_merged(paragraph, lines[0])


def _append_merged(paragraph: Element, runs: list[Element]) -> None:
    if not runs:
        return
    text = "".join(map(_read_run, runs))
    fonts = [
        run.find(f"{_DRAWING}rPr/{_DRAWING}latin")
        for run in runs
        if (run.findtext(f"{_DRAWING}t") or "").strip()
    ]
    if fonts and all(font is not None and _MONOSPACED.search(font.get("typeface") or "") for font in fonts):
        text = CODE_LINE + text.replace(" ", "\u00a0")
    for run in runs:
        run.getparent().remove(run)
    merged = paragraph.makeelement(f"{_DRAWING}r")
    part = merged.makeelement(f"{_DRAWING}t")
    part.text = text
    merged.append(part)
    end = paragraph.find(f"{_DRAWING}endParaRPr")
    if end is None:
        paragraph.append(merged)
    else:
        end.addprevious(merged)


def _read_run(run: Element) -> str:
    """Return the text of a run, that of a superscript with a caret before it."""
    text = run.findtext(f"{_DRAWING}t") or ""
    properties = run.find(f"{_DRAWING}rPr")
    is_raised = properties is not None and (properties.get("baseline") or "0").lstrip("+")[:1] not in "0-"
    return f"^{text}" if is_raised and text.strip() else text


def _mark_code(root: Element) -> str:
    """Mark the lines of code of an OpenDocument text; return the text of its title, which is removed."""
    parents = {
        style.get(f"{_STYLE}name"): style.get(f"{_STYLE}parent-style-name")
        for style in root.iter(f"{_STYLE}style")
    }
    title = ""
    for paragraph in list(root.iter(f"{_TEXT}p")):
        name = paragraph.get(f"{_TEXT}style-name")
        style = parents.get(name) or name
        if style == "Title" and not title:
            title = " ".join("".join(paragraph.itertext()).split())
            paragraph.getparent().remove(paragraph)
        elif style in _CODE_STYLES:
            for blank in list(paragraph.iter(f"{_TEXT}s")):
                _replace_by_text(blank, "\u00a0" * min(int(blank.get(f"{_TEXT}c") or 1), 200))
            for tab in list(paragraph.iter(f"{_TEXT}tab")):
                _replace_by_text(tab, "\u00a0" * 4)
            paragraph.text = CODE_LINE + (paragraph.text or "")
    return title


def _replace_by_text(element: Element, text: str) -> None:
    text += element.tail or ""
    before, parent = element.getprevious(), element.getparent()
    if before is None:
        parent.text = (parent.text or "") + text
    else:
        before.tail = (before.tail or "") + text
    parent.remove(element)
