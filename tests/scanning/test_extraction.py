"""Code in files that aren't code, with the real Semgrep: one scan over all of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from securetag.records import Finding
from securetag.scanning.extraction import OtherLanguageError, extract, language_of_program
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings
from securetag.wire.queue import SkipReason

EVAL = {"id": "eval", "languages": ["python"], "severity": "ERROR", "message": "eval", "pattern": "eval(...)"}
EVAL_JS = {**EVAL, "id": "eval-js", "languages": ["javascript", "typescript"]}
RAW = {
    "id": "raw",
    "languages": ["regex"],
    "severity": "ERROR",
    "message": "raw",
    "pattern-regex": r"\{\{\{|v-html",
    "paths": {"include": ["*.hbs", "*.vue", "*.html"]},
}

PAGE = """<!doctype html>
<body onload="x()">
<!-- <script>eval(commented_out)</script> -->
<script src="lib.js"></script><script type="application/json">{"eval(1)": 2}</script>
<p>ñ {{ name }} eval(text)</p>
<SCRIPT nonce='>'>
  function show(q) {
    var all = {{ items|tojson }};
    {% if debug %}eval(q);{% endif %}
  }
</SCRIPT> <script>eval({{ last }})</script><script>eval(b)</script>
"""
VUE = """<template><div v-html="raw">{{ x }}</div></template>
<script setup lang="ts">
const text = "{{";
function run(code: string): void { eval(code) }
</script>
"""


def notebook(*cells: list[str], language: str = "python") -> dict[str, object]:
    return {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": ["eval(x) in words"]},
            *(
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "metadata": {},
                    "outputs": [{"name": "stdout", "output_type": "stream", "text": ["eval(printed)"]}],
                    "source": [*(f"{line}\n" for line in cell[:-1]), cell[-1]],
                }
                for cell in cells
            ),
        ],
        "metadata": {"kernelspec": {"language": language}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


CELLS = (
    ["%matplotlib inline", "code = !cat x.txt", "if code:", "    !rm x.txt"],
    ["def run(code):", '    print("a %s"', "          % code)", "    return eval(code)"],
    ["%%bash", "eval(y)"],
)
NOTEBOOK = json.dumps(notebook(*CELLS), indent=1)
FILES: dict[str, str | bytes] = {
    "templates/page.html": PAGE,
    "App.vue": VUE,
    "mail.hbs": "<p>{{{ body }}}</p>\n",
    "plain.html": "<p>eval(x)</p>\n",
    "nb/a.ipynb": NOTEBOOK,
    "nb/minified.ipynb": json.dumps(notebook(*CELLS)),
    "nb/r.ipynb": json.dumps(notebook(["eval(x)"], language="R")),
    "nb/broken.ipynb": "{",
    "bin/tool": "#!/usr/bin/env -S python3 -u\neval(x)\n",
    "bin/serve": "#!/usr/bin/node\neval(x)\n",
    "bin/run": "#!/bin/sh\neval x\n",
    "types.mts": "const a: string = eval(x)\n",
    "app.wsgi": "eval(x)\n",
    f"{'n' * 250}.html": "<script>eval(x)</script>",
    "build/lib/a.py": "eval(x)\n",
    "dist/index.js": "eval(x)\n",
}


def run(root: Path, files: dict[str, str | bytes], **settings: object) -> ScannerRun:
    for name, content in files.items():
        path = root / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    pack = root / "pack.json"
    pack.write_text(json.dumps({"rules": [EVAL, EVAL_JS, RAW]}))
    given = SemgrepSettings.model_validate({"jobs": 1, **settings})
    return scan(root / "project", pack=pack, settings=given, out=root / "out", catalogue={})


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> ScannerRun:
    return run(tmp_path_factory.mktemp("extraction"), FILES).check()


def places(outcome: ScannerRun, path: str) -> list[tuple[str, int, str]]:
    return [(item.rule_id, item.start_line, item.language) for item in outcome.findings if item.path == path]


def only(outcome: ScannerRun, path: str) -> Finding:
    (finding,) = [item for item in outcome.findings if item.path == path]
    return finding


def test_inline_scripts_are_reported_on_their_lines_in_the_file(outcome: ScannerRun) -> None:
    path = "templates/page.html"
    assert places(outcome, path) == [("eval-js", line, "javascript") for line in (9, 11, 11)]
    first = next(item for item in outcome.findings if item.path == path)
    assert first.scope == "show"
    # The file itself is shown, not the copy with its blanks.
    assert "    {% if debug %}eval(q);{% endif %}" in first.snippet
    assert first.snippet_line == 7


def test_a_vue_component_is_markup_and_typescript(outcome: ScannerRun) -> None:
    assert places(outcome, "App.vue") == [("raw", 1, "template"), ("eval-js", 4, "typescript")]
    assert places(outcome, "mail.hbs") == [("raw", 1, "template")]
    assert places(outcome, "plain.html") == []


def test_a_notebook_finding_points_at_the_cell_and_the_line_of_the_file(outcome: ScannerRun) -> None:
    finding = only(outcome, "nb/a.ipynb")
    line = NOTEBOOK.split("\n").index('    "    return eval(code)"') + 1
    assert (finding.start_line, finding.language, finding.scope) == (line, "python", "run")
    assert finding.message == "eval (cell 3, line 4)"
    assert finding.snippet.startswith("def run(code):")
    # On one line of the file there is no line to point at: the code's lines are counted.
    other = only(outcome, "nb/minified.ipynb")
    assert (other.message, other.scope) == ("eval (cell 3, line 4)", "run")
    assert other.fingerprint == finding.fingerprint


def test_programs_without_an_ending_and_with_a_rare_one(outcome: ScannerRun) -> None:
    for path, language in {
        "bin/tool": "python",
        "bin/serve": "javascript",
        "types.mts": "typescript",
        "app.wsgi": "python",
        f"{'n' * 250}.html": "javascript",
        "build/lib/a.py": "python",
        "dist/index.js": "javascript",
    }.items():
        assert only(outcome, path).language == language, path


def test_all_of_it_is_in_the_coverage_and_nothing_in_the_project(
    outcome: ScannerRun, tmp_path_factory: pytest.TempPathFactory
) -> None:
    coverage = outcome.coverage
    assert coverage.files == {
        "template": 5,
        "notebook": 2,
        "python": 3,
        "javascript": 2,
        "typescript": 1,
    }
    assert coverage.lines["template"] == PAGE.count("\n") + VUE.count("\n") + 3
    assert coverage.unsupported == {"notebook (r)": 1, "other": 1}
    assert [(file.path, file.reason) for file in coverage.skipped] == [
        ("nb/broken.ipynb", SkipReason.PARSE_ERROR)
    ]
    assert coverage.parse_errors == []
    project = outcome.stdout_path.parent.parent / "project"
    written = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert written == FILES.keys()


def test_files_over_a_megabyte_are_scanned_unless_they_are_minified_or_too_large(tmp_path: Path) -> None:
    padding = "# a line of forty characters or a little more\n" * 30_000
    outcome = run(
        tmp_path,
        {
            "big.py": padding + "eval(x)\n",
            "bundle.js": "var a=1;" * 140_000 + "eval(x)",
            "huge.py": padding * 2 + "eval(x)\n",
        },
        max_file_bytes=2_000_000,
    ).check()
    assert [(item.path, item.start_line) for item in outcome.findings] == [("big.py", 30_001)]
    assert {file.path: file.reason for file in outcome.coverage.skipped} == {
        "bundle.js": SkipReason.MINIFIED,
        "huge.py": SkipReason.TOO_LARGE,
    }


@pytest.mark.parametrize(
    ("head", "language"),
    [
        (b"#!/usr/bin/python\n", "python"),
        (b"#!/usr/bin/python3.11 -u\n", "python"),
        (b"#! /usr/bin/env pypy3\n", "python"),
        (b"#!/usr/bin/env -S node --harmony\n", "javascript"),
        (b"#!/usr/bin/env ts-node\n", "typescript"),
        (b"#!/bin/bash\n", None),
        (b"#!/opt/pythonic/bin/sh\n", None),
        (b"python\n", None),
        (b"", None),
    ],
)
def test_the_language_of_a_program(head: bytes, language: str | None) -> None:
    assert language_of_program(head) == language


@pytest.mark.hostile
@pytest.mark.parametrize(
    "unit",
    ["<script", "<script>", "<script ", "<script a='", "<!--", "{{", "{%", "{{ x", "</script", "<script>a"],
)
def test_hostile_markup_costs_linear_time(unit: str) -> None:
    began = time.process_time()
    extract("a.html", "template", (unit * (1_000_000 // len(unit))).encode())
    assert time.process_time() - began < 10


def test_a_notebook_that_was_made_to_hurt() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        extract("a.ipynb", "notebook", b"[" * 100_000)
    with pytest.raises(ValueError, match="no list of cells"):
        extract("a.ipynb", "notebook", b'{"cells": [1]}')
    with pytest.raises(OtherLanguageError):
        extract("a.ipynb", "notebook", json.dumps(notebook(["x"], language="julia")).encode())
    odd = {"cells": [{"cell_type": "code", "source": [1, "eval(x)", None]}, {}]}
    inside = extract("a.ipynb", "notebook", json.dumps(odd).encode())
    assert inside is not None
    assert b"eval(x)" in inside.content
