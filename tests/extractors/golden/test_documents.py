"""One manual in every format of office documents: five Records that a person wrote down from its text.

The files of text formats are written by hand in the folder `documents`. The archives are made here: the Word,
EPUB and OpenDocument ones by pandoc, and slides by hand, since PowerPoint breaks runs where pandoc doesn't.
"""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.folder import FolderReader
from securetag.extractors.text.pandoc import FORMATS
from securetag.records import Record

pytestmark = pytest.mark.system

DOCUMENTS = Path(__file__).with_name("documents")
MANUAL = """\
---
title: Key manual
---
# Purpose

Every door has a lock, and **every lock** has an owner. The owner writes down who holds a key; the
[register](https://keys.example/register) is read each month.

# Rules

Whoever borrows a key keeps to these rules, which the owner of the door may tighten:

- sign the register before the key is handed out
- bring the key back on the same day

# Owners

The table names the owner of each door, and the days after which a lock is changed.

| Door | Owner | Days |
|---|---|---:|
| Archive | Ana Ruiz | 30 |
| Server room | Operations | 7 |

# Alarm

The door of the archive is opened by a program that asks the register first — it’s short:

```python
if register.holds(key, person):
    door.open()
```

# Loss

A lost key is told to the owner within one hour[^1], who has the lock changed on the same day and
writes down why.

[^1]: At night, to the guard.
"""
CODE = "if register.holds(key, person):\n    door.open()\n```"
#: Section → its text, read off the page of the manual.
EXPECTED = {
    "Purpose": "Every door has a lock, and **every lock** has an owner. The owner writes down who holds a"
    " key; the register is read each month.",
    "Rules": "Whoever borrows a key keeps to these rules, which the owner of the door may tighten:\n\n"
    "- sign the register before the key is handed out\n- bring the key back on the same day",
    "Owners": "The table names the owner of each door, and the days after which a lock is changed.\n\n"
    "| Door | Owner | Days |\n| --- | --- | --- |\n"
    "| Archive | Ana Ruiz | 30 |\n| Server room | Operations | 7 |",
    "Alarm": "The door of the archive is opened by a program that asks the register first — it’s short:\n\n"
    f"```\n{CODE}",
    "Loss": "A lost key is told to the owner within one hour^1, who has the lock changed on the same day and"
    " writes down why.\n\n1. At night, to the guard.",
}
#: What a format says otherwise: Textile has no long dash, slides no bullets of their own and no footnotes.
OTHERWISE = {
    ".textile": {"Alarm": EXPECTED["Alarm"].replace("—", "-")},
    ".pptx": {
        "Purpose": EXPECTED["Purpose"].replace("**", ""),
        "Rules": EXPECTED["Rules"].replace("- sign", "sign").replace("\n- bring", "\n\nbring"),
        "Loss": EXPECTED["Loss"].partition("\n")[0],
    },
    ".ipynb": {"Alarm": f"{EXPECTED['Alarm']}\n\n```\nopened\n```"},
}
#: Formats that name the language of a block of code.
NAMING_LANGUAGES = {".org", ".mediawiki", ".epub", ".ipynb"}
MADE_HERE = (".docx", ".odt", ".epub", ".pptx")


@pytest.mark.parametrize("ending", sorted(set(FORMATS) - {".adoc", ".asciidoc"}))
def test_the_manual_gives_the_same_records(ending: str, make_source: MakeSource, make_file: MakeFile) -> None:
    file = make_file(f"manual{ending}", b"")
    if ending in MADE_HERE:
        make_archive(file.path)
    else:
        file.path.write_bytes(_find_document(ending).read_bytes())
    source = make_source(reader="folder", options={"whole": 300})
    records = [item for item in FolderReader(source).read([file]) if isinstance(item, Record)]
    assert {record.title for record in records} == {f"Key manual: {section}" for section in EXPECTED}
    for record in records:
        section = record.facts.section[-1]
        expected = OTHERWISE.get(ending, {}).get(section, EXPECTED[section])
        if ending in NAMING_LANGUAGES:
            expected = expected.replace("```\nif", "```python\nif")
        assert record.text.replace("'", "’") == expected.replace("'", "’"), section
        assert (record.key, record.facts.section) == (
            f"manual#{section.lower()}",
            ["Key manual", section],
        )


def _find_document(ending: str) -> Path:
    """Return the file of a format; a notebook has a name by which linters don't take it for code of ours."""
    return DOCUMENTS / ("manual.ipynb.json" if ending == ".ipynb" else f"manual{ending}")


def make_archive(path: Path) -> None:
    if path.suffix == ".pptx":
        make_slides(path)
        return
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "--from=markdown", "-o", str(path)]
    subprocess.run(command, input=MANUAL.encode(), check=True)


_NAMESPACES = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    ' xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
)
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'


def run(text: str, properties: str = '<a:rPr lang="en-US"/>') -> str:
    return f"<a:r>{properties}<a:t>{escape(text)}</a:t></a:r>"


_CODE_FONT = '<a:rPr lang="en-US"><a:latin typeface="Consolas"/></a:rPr>'
#: Title → paragraphs of a slide, in runs as PowerPoint leaves them after corrections.
SLIDES = {
    "Key manual": [],
    "Purpose": [
        run("Every door has a lock, and ")
        + run("every lo", '<a:rPr b="1"/>')
        + run("ck", '<a:rPr b="1" dirty="0"/>')
        + run(" has an owner. The owner writes down who holds a key; the ")
        + run("register")
        + run(" is read each month.")
    ],
    "Rules": [
        run("Whoever borrows a key keeps to these rules, which the owner of the door may tighten:"),
        run("sign the register before the key is handed out")
        + "<a:br/>"
        + run("bring the key ba", '<a:rPr err="1"/>')
        + run("ck on the same day"),
    ],
    "Owners": [run("The table names the owner of each door, and the days after which a lock is changed.")],
    "Alarm": [
        run("The door of the archive is opened by a program that asks the register first — it’s short:"),
        run("if register.holds(key, person):", _CODE_FONT)
        + "<a:br/>"
        + run("    door", _CODE_FONT)
        + run(".open()", _CODE_FONT),
    ],
    "Loss": [
        run("A lost key is told to the owner within one hour")
        + run("1", '<a:rPr baseline="30000"/>')
        + run(", who has the lock changed on the same day and writes down why.")
    ],
}
_TABLE = [["Door", "Owner", "Days"], ["Archive", "Ana Ruiz", "30"], ["Server room", "Operations", "7"]]


def make_slides(path: Path) -> None:
    """Write SLIDES, and the table on the slide of the owners, as a presentation."""
    content = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml"'
    )
    content += ' ContentType="application/xml"/><Default Extension="rels"'
    content += ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>'
    numbers = range(1, len(SLIDES) + 1)
    ids = "".join(f'<p:sldId id="{255 + number}" r:id="rId{number}"/>' for number in numbers)
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{_RELATIONS}/slide" Target="slides/slide{number}.xml"/>'
        for number in numbers
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", content)
        archive.writestr(
            "_rels/.rels",
            f'<Relationships {_PACKAGE}><Relationship Id="rId1" Type="{_RELATIONS}/officeDocument"'
            ' Target="ppt/presentation.xml"/></Relationships>',
        )
        archive.writestr(
            "ppt/_rels/presentation.xml.rels", f"<Relationships {_PACKAGE}>{links}</Relationships>"
        )
        archive.writestr(
            "ppt/presentation.xml",
            f"<p:presentation {_NAMESPACES}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        )
        for number, (title, paragraphs) in enumerate(SLIDES.items(), 1):
            archive.writestr(f"ppt/slides/slide{number}.xml", make_slide(title, paragraphs))


def make_slide(title: str, paragraphs: list[str]) -> str:
    shapes = make_shape(2, '<p:ph type="title"/>', [run(title)])
    if paragraphs:
        shapes += make_shape(3, '<p:ph idx="1"/>', paragraphs)
    if title == "Owners":
        rows = "".join(
            "<a:tr h='1'>"
            + "".join(f"<a:tc><a:txBody><a:bodyPr/><a:p>{run(cell)}</a:p></a:txBody></a:tc>" for cell in row)
            + "</a:tr>"
            for row in _TABLE
        )
        grid = "<a:tblGrid>" + '<a:gridCol w="1"/>' * 3 + "</a:tblGrid>"
        shapes += (
            '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="t"/><p:cNvGraphicFramePr/><p:nvPr/>'
            "</p:nvGraphicFramePr><a:graphic><a:graphicData"
            ' uri="http://schemas.openxmlformats.org/drawingml/2006/table">'
            f'<a:tbl><a:tblPr firstRow="1"/>{grid}{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>'
        )
    tree = '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
    return f"<p:sld {_NAMESPACES}><p:cSld><p:spTree>{tree}{shapes}</p:spTree></p:cSld></p:sld>"


def make_shape(number: int, placeholder: str, paragraphs: list[str]) -> str:
    text = "".join(f"<a:p>{paragraph}</a:p>" for paragraph in paragraphs)
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="s{number}"/><p:cNvSpPr/>'
        f"<p:nvPr>{placeholder}</p:nvPr></p:nvSpPr>"
        f"<p:spPr/><p:txBody><a:bodyPr/>{text}</p:txBody></p:sp>"
    )
