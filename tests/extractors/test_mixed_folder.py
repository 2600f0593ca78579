"""A folder as people have them: nothing is lost silently, code is no prose, no secret gets into a Record."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from importlib.metadata import distributions
from pathlib import Path

import msgspec
import pytest
from planted import SECRETS, Planted, planted

from securetag.extractors.catalog import get_source
from securetag.extractors.extract import extract
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.readers.registry import create_reader
from securetag.extractors.record_files import Extraction
from securetag.extractors.text.prose import iter_segments
from securetag.settings import Settings

pytestmark = pytest.mark.system

CATALOG = """
- {name: mixed, tier: extended, publisher: Us, dataset: mixed, title: Mixed, edition: "1",
   licence: LicenseRef-Internal, url: "https://intranet.example/docs", reader: folder, folder: {path: docs}}
"""
SENTENCE = (
    "Sentence {n} says that whoever keeps the key to a door also writes down who has borrowed it, and when."
)
#: Name of a file → its content: `@S@` is a sentence of its own, `@P@` a planted secret (`@I@` indented),
#: `@C@` a name in code.
PROSE = {
    "guide.md": "# Guide\n\n@S@\n\n## Keys\n\n@S@\n\n```ini\n@P@\n```\n\n```python\n@C@ = 1\n```\n",
    "deep/notes.markdown": "Notes\n=====\n\n@S@\n\n    @C@ = indented()\n\n@S@\n\n```\n@P@\n```\n",
    "readme.txt": "Read me.\n\n@S@\n\n@S@\n",
    "plain": "Plain words.\n\n@S@\n\n@S@\n",
    "manual.rst": "Manual\n======\n\n@S@\n\n.. code-block:: python\n   :emphasize-lines: 1\n\n   @C@ = 2\n\n"
    "Part\n----\n\n.. note:: @S@\n\n::\n\n@I@\n",
    "sphinx.rst": "Page\n====\n\n.. toctree::\n\n   a\n\n.. versionadded:: 1.2\n   @S@\n\n"
    ".. py:function:: f(x)\n\n   @S@ See :ref:`x`.\n",
    "model.adoc": "= Threat model\n:toc:\n\n== Assets\n\n@S@\n\n[source,java]\n----\nint @C@ = 1;\n----\n\n"
    "NOTE: @S@\n\n----\n@P@\n----\n",
    "book.org": "#+TITLE: Book\n\n* One\n\n@S@\n\n#+begin_src python\n@C@ = 3\n#+end_src\n",
    "page.html": "<!doctype html><title>Page</title><h1>Page</h1><p>@S@</p>"
    "<p>@S@</p><pre><code>@P@\n@C@ = 4</code></pre>",
    "table.csv": 'id,title,text\n1,One,"@S@"\n2,Two,"@S@"\n3,Three\n',
    "wide.tsv": "colour\tnote\nred\t@S@\n",
    "utf16.txt": "@S@\n\n@S@\n",
}
ROWS = {
    "alpaca.json": lambda s, p: [
        {"instruction": s(), "input": p, "output": s()},
        {"instruction": s(), "output": s()},
    ],
    "chat.jsonl": lambda s, p: [
        {
            "messages": [
                {"role": role, "content": s()}
                for role in ("system", "user", "assistant", "user", "assistant")
            ]
        },
        {"messages": [{"role": "user", "content": p}, {"role": "assistant", "content": s()}]},
    ],
    "sharegpt.json": lambda s, p: [
        {"conversations": [{"from": role, "value": s()} for role in ("human", "gpt")], "x": p}
    ],
    "issues.json": lambda s, p: {"issues": [{"key": "A-1", "summary": s(), "description": s(), "notes": p}]},
}
#: Name of a file → content. Nothing of it may be in a Record.
LEFT_OUT = {
    "style.css": ".@C@ { color: red; } /* a comment of five words here */",
    "dist/app.min.js": "!function(){var @C@=1;}();" * 40,
    "app.ts": "export const @C@: number = 1; // a comment of five words here",
    "tool.py": '"""A docstring which reads like a sentence of prose, does it not?"""\n\n@C@ = 1\n',
    "Main.java": "/** A comment that reads like prose does. */\nclass @C@ {}\n",
    "run": "#!/bin/sh\n# a comment of many words stands here\n@C@=1\n",
    "Makefile": "@C@:\n\techo this is a target of a makefile\n",
    "Dockerfile": "FROM debian\nRUN echo @C@ is a thing to say here\n",
    "main.go": "package main\n\nvar @C@ = 1\n",
    "query.sql": "SELECT @C@ FROM a_table WHERE it_is = 'a long text of words';\n",
    "pasted.txt": "import os\n\ndef @C@(x):\n    return os.path.join(x)\n\nfor n in list(1):\n    print(n)\n"
    * 5,
    "search_index.json": '{"docs": [{"location": "a", "title": "A", "text": "@C@ is a text of the index."}]}',
    "searchindex.js": 'Search.setIndex({"@C@": 1})',
    "deploy.yaml": "name: @C@\ndescription: a sentence that stands in the settings of a deployment\n",
    "pyproject.toml": 'name = "@C@"\n',
    "package.json": '{"name": "@C@", "description": "A package that does many things for us."}',
    "schema.json": '{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "@C@"}',
    "scan.sarif": '{"version": "2.1.0", "runs": [{"results": [{"message": {"text": "@C@ is a flaw."}}]}]}',
    "scan.json": '{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"a": "@C@"}]}',
    "LICENSE": "Do with @C@ whatever you like to do with it, as long as you like.\n",
    "COPYING.txt": "Do with @C@ whatever you like to do with it, as long as you like.\n",
    "terms.md": "# @C@\n\nPermission is hereby granted, free of charge, to any person who gets a copy.\n",
    "page.mdx": "import X from './@C@'\n\n# Page\n\n<X/> A sentence of words that stands in MDX.\n",
    "picture.svg": "<svg><title>@C@ is the title of a picture</title></svg>",
    "words.txt": "".join(f"@C@{n}\n" for n in range(50)),
    "settings.json": '{"@C@": true}',
    "data.json": '[{"x": 1, "y": "@C@"}, {"x": 2, "y": "b"}]',
    "id.pem": "-----BEGIN CERTIFICATE-----\n@C@\n-----END CERTIFICATE-----\n",
    ".env": "@C@=1\n",
    "empty.md": "",
    "short.md": "# @C@\n\nToo short.\n",
}
BROKEN = {
    "zip.docx": b"PK\x03\x04 broken",
    "image.png": b"\x89PNG\r\n\x1a\n",
    "binary.md": bytes(range(256)) * 9,
}


class Folder:
    """The folder, and what was written into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sentences: list[str] = []
        self.codes: list[str] = []
        self.secrets = list(planted(SECRETS, 11, each=2))
        self.unused = list(self.secrets)

    def sentence(self) -> str:
        self.sentences.append(SENTENCE.format(n=len(self.sentences)))
        return self.sentences[-1]

    def secret(self) -> str:
        return self.unused.pop().text

    def fill(self, template: str, *, is_prose: bool = True) -> str:
        while "@S@" in template:
            template = template.replace("@S@", self.sentence(), 1)
        while "@P@" in template:
            template = template.replace("@P@", self.secret(), 1)
        while "@I@" in template:
            template = template.replace(
                "@I@", "\n".join(f"   {line}" for line in self.secret().split("\n")), 1
            )
        if "@C@" in template:
            self.codes.append(f"zq_name_{len(self.codes)}")
        return template.replace("@C@", self.codes[-1] if self.codes else "")

    def write(self, name: str, content: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def make_folder(root: Path) -> Folder:
    folder = Folder(root)
    for name, template in PROSE.items():
        text = folder.fill(template)
        folder.write(name, text.encode("utf-16") if name == "utf16.txt" else text)
    for name, make in ROWS.items():
        rows = make(folder.sentence, folder.secret())
        lines = "\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows)
        folder.write(name, lines)
    for name, template in LEFT_OUT.items():
        folder.write(name, folder.fill(template))
    for name, content in BROKEN.items():
        folder.write(name, content)
    office = folder.fill("# Office\n\n@S@\n\n## Code\n\n@S@\n\n```python\n@C@ = 5\n```\n\n```\n@P@\n```\n")
    convert(office, root / "office.docx")
    convert(folder.fill("# Book\n\n@S@\n\n## Two\n\n@S@\n\n```\n@P@\n```\n"), root / "book.epub")
    make_pdf(root / "paper.pdf", [folder.sentence(), folder.secret()])
    while folder.unused:  # the other secrets stand between sentences of a handbook
        number = len(folder.unused)
        folder.write(
            f"handbook/part{number}.md", folder.fill(f"# Part {number}\n\n@S@\n\n```\n@P@\n```\n\n@S@\n")
        )
    copy_real_documents(root / "real")
    return folder


def convert(markdown: str, path: Path) -> None:
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "--from=markdown", "-o", str(path)]
    subprocess.run(command, input=markdown.encode(), check=True)


def make_pdf(path: Path, paragraphs: list[str]) -> None:
    import pymupdf

    document = pymupdf.open()
    page = document.new_page()
    page.insert_textbox((50, 50, 550, 100), "Paper", fontsize=22)
    for number, paragraph in enumerate(paragraphs):
        page.insert_textbox((50, 110 + 200 * number, 550, 300 + 200 * number), paragraph, fontsize=10)
    document.save(path)


def copy_real_documents(root: Path) -> None:
    """Documents of installed packages: Markdown, reStructuredText, text, HTML, descriptions; at least ten."""
    wanted = Counter({".md": 8, ".rst": 8, ".txt": 6, ".html": 6, "": 6})
    for distribution in sorted(distributions(), key=lambda found: found.metadata["Name"].lower()):
        for file in distribution.files or []:
            path = Path(str(file.locate()))
            ending = "" if path.name == "METADATA" else path.suffix or "-"
            if wanted[ending] > 0 and path.is_file() and 2_000 < path.stat().st_size < 200_000:
                wanted[ending] -= 1
                target = root / distribution.metadata["Name"] / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("mixed")
    (root / "mine.yaml").write_text(CATALOG)
    return make_folder(root / "docs")


@pytest.fixture(scope="module")
def read_settings(folder: Folder) -> Settings:
    home = folder.root.parent
    return Settings(catalog=home / "mine.yaml", data=home / "data", home=home / "home", mirror=None)


@pytest.fixture(scope="module")
def extraction(read_settings: Settings) -> Extraction:
    return extract("mixed", read_settings)


def test_no_file_is_lost_silently(folder: Folder, extraction: Extraction, read_settings: Settings) -> None:
    files = [path for path in folder.root.rglob("*") if path.is_file()]
    real = [path for path in files if "real" in path.parts]
    assert len(files) >= 60
    assert len(real) >= 10
    assert extraction.report.files == len(files)
    source = get_source("mixed", read_settings)
    for file in fetch(source, read_settings):
        assert list(create_reader(source).read([file])), file.path
    items = (
        len(extraction.records) + sum(extraction.report.dropped.values()) + len(extraction.report.failures)
    )
    assert items >= len(files)
    assert {Path(failure.file).name for failure in extraction.report.failures} == {*BROKEN, "table.csv"}
    read = {
        record.url.removeprefix("https://intranet.example/docs/").split("#")[0]
        for record in extraction.records
    }
    assert read & set(LEFT_OUT) == set()
    assert {*PROSE, *ROWS, "office.docx", "book.epub", "paper.pdf"} <= read
    assert sum(path.relative_to(folder.root).as_posix() in read for path in real) >= 10


def test_every_sentence_is_in_a_record(folder: Folder, extraction: Extraction) -> None:
    texts = [" ".join(f"{record.title} {record.text}".split()) for record in extraction.records]
    missing = [sentence for sentence in folder.sentences if not any(sentence in text for text in texts)]
    assert missing == []


def test_code_is_no_prose(folder: Folder, extraction: Extraction) -> None:
    """Names in code stand in code blocks or nowhere, and those of what was left out nowhere."""
    assert len(folder.codes) >= 35
    for record in extraction.records:
        prose = "".join(piece for is_code, piece in iter_segments(record.text) if not is_code)
        assert "zq_name_" not in prose + record.title, record
    kept = [code for code in folder.codes if any(f"{code} =" in record.text for record in extraction.records)]
    assert len(kept) >= 6


def test_no_planted_secret_is_in_a_record(folder: Folder, extraction: Extraction) -> None:
    assert len(folder.secrets) == 50
    written = msgspec.json.encode(extraction.records).decode()
    assert [case for case in folder.secrets if is_left(case, written)] == []
    assert extraction.report.scrubbed["secret"] >= 40


def is_left(case: Planted, written: str) -> bool:
    """Whether a secret, or any 14 characters of it, are in a text."""
    parts = [part for part in case.secret.split("\n") if len(part) > 3]
    windows = [part[at : at + 14] for part in parts for at in range(0, max(1, len(part) - 13))]
    return any(json.dumps(window)[1:-1] in written for window in windows)
