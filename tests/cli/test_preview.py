"""`securetag source preview` on one small file of each kind that once was read wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from securetag.cli import app
from securetag.extractors.text.pandoc import is_pandoc_installed

runner = CliRunner()
FLAW = "The parser of the teapot's lid follows a link twice, which lets a guest read the letters of the host."
SENTENCE = "Whoever keeps the key of a door also writes down who has borrowed it, and when it came back."


def osv(*events: dict[str, str], **affected: object) -> str:
    """An OSV advisory of one package with one range."""
    package = {"ecosystem": "Maven", "name": "tea:pot"}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}]
    return json.dumps(
        {
            "schema_version": "1.4.0",
            "id": "GHSA-2222-2222-2222",
            "modified": "2031-01-01T00:00:00Z",
            "details": FLAW,
            "affected": [{"package": package, "ranges": ranges} | affected],
        }
    )


def cve(*versions: dict[str, object]) -> str:
    """A CVE record of one product that is affected by default."""
    product = {"vendor": "tea", "product": "pot", "defaultStatus": "affected", "versions": list(versions)}
    cna = {"descriptions": [{"lang": "en", "value": FLAW}], "affected": [product]}
    metadata = {"cveId": "CVE-2031-10001", "state": "PUBLISHED"}
    kind = {"dataType": "CVE_RECORD", "dataVersion": "5.1"}
    return json.dumps(kind | {"cveMetadata": metadata, "containers": {"cna": cna}})


def chat(*turns: str) -> str:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": turn} for number, turn in enumerate(turns)]
    return json.dumps({"messages": messages}) + "\n"


ALPACA = [
    {"instruction": "Is this line of code safe?", "input": f"call_{word}(host)", "output": f"{word}, it is."}
    for word in ("never", "always")
]
RAGGED = (
    f'id,title,description\n1,First,"{SENTENCE}"\n2,Second,one, two\n3,Third\n'
    f'4,"Open,never closed\n5,Fifth,"{SENTENCE}"\n'
)
HANDBOOK = (
    f"# Keys\n\nAsk ana.soler@teapots.example. {SENTENCE} See[^1].\n\n"
    "```python\nkey = vault[name]  # {{ name }} stays\n```\n\n[^1]: A note on keys.\n"
)
ADOC = (
    f"= Doors\n\n== Keys\n\n{SENTENCE}\n\n"
    "[source,java]\n----\nString key = ring.get(0);\n----\n\nNOTE: Lock up.\n"
)
ISSUES = f'Issue key,Summary,Description,Priority,Resolution\nSEC-1,Lid,"{SENTENCE}",High,Fixed by a screw\n'
FIXED: dict[str, object] = {"status": "unaffected", "versionType": "semver"}
PAGE = "<!DOCTYPE html><html><body><p>Not found</p></body></html>"
MISFIT = '{"id": "GHSA-1", "schema_version": "1", "modified": "2031-01-01", "details": 7}'
#: File → (content, texts of the output, exit code).
CASES: dict[str, tuple[str, list[str], int]] = {
    "alpaca.json": (json.dumps(ALPACA), ["call_never(host)", "call_always(host)", "always, it is."], 0),
    "multi.jsonl": (
        chat("Is it safe?", "It is not.", "And now?", "Now it is."),
        ["It is not.", "And now?"],
        0,
    ),
    "issues.csv": (ISSUES, ["Record SEC-1: Lid", "Priority, Resolution", "Fixed by a screw"], 0),
    "ragged.csv": (RAGGED, ["line 3 4 cells", "line 4 2 cells", "line 5 not a row", "Record 5: Fifth"], 0),
    "handbook.md": (HANDBOOK, ["replaced: email 1", "# {{ name }} stays", "A note on keys."], 0),
    "fixed_first.json": (osv({"fixed": "1.2.5"}), ["`< 1.2.5`"], 0),
    "last_known.json": (
        osv({"introduced": "0"}, database_specific={"last_known_affected_version_range": "<= 29.0"}),
        ["`≤ 29.0` (no fix known)"],
        0,
    ),
    "limit.json": (osv({"introduced": "1.0"}, {"limit": "2.0"}), ["`≥ 1.0, < 2.0` (limit)"], 0),
    "unsorted.json": (
        osv({"fixed": "1.5.10"}, {"introduced": "0"}, {"introduced": "1.5.0"}, {"fixed": "1.4.13"}),
        ["`< 1.4.13`; `≥ 1.5.0, < 1.5.10`"],
        0,
    ),
    "range_and_versions.json": (
        osv({"introduced": "3.0"}, {"fixed": "3.2"}, versions=["3.0", "1.7.1-special"]),
        ["`≥ 3.0, < 3.2`", "`1.7.1-special`"],
        0,
    ),
    "CVE-2031-10001.json": (
        cve(
            FIXED | {"version": "0", "lessThan": "6.5"},
            FIXED | {"version": "6.6.17", "lessThanOrEqual": "6.6.*"},
            FIXED | {"version": "6.8", "lessThanOrEqual": "*"},
        ),
        ["tea/pot: `≥ 6.5`, fixed in `6.6.17` (`6.6.*`) and `6.8`"],
        0,
    ),
    "page.pdf": (PAGE, ["is HTML, not PDF", "next: "], 1),
    "style.css": ("a { color: red }", ["style.css: left out: source code (CSS)", "next: "], 1),
    "broken.json": (MISFIT, ["next: "], 1),
}


@pytest.mark.parametrize("name", CASES)
def test_one_file(tmp_path: Path, name: str) -> None:
    content, texts, code = CASES[name]
    (tmp_path / name).write_text(content)
    done = runner.invoke(app, ["source", "preview", str(tmp_path / name)])
    assert done.exit_code == code, done.output
    for text in texts:
        assert text in done.output


@pytest.mark.skipif(not is_pandoc_installed(), reason="securetag[documents] isn't installed")
def test_asciidoc(tmp_path: Path) -> None:
    (tmp_path / "doors.adoc").write_text(ADOC)
    done = runner.invoke(app, ["source", "preview", str(tmp_path / "doors.adoc")])
    assert done.exit_code == 0
    for text in ("Record doors: Doors", "## Keys", "```java", "**Note**", "Lock up."):
        assert text in done.output


def test_a_folder_fails_only_when_all_its_files_do(tmp_path: Path) -> None:
    (tmp_path / "page.pdf").write_text(CASES["page.pdf"][0])
    (tmp_path / "style.css").write_text(CASES["style.css"][0])
    done = runner.invoke(app, ["source", "preview", str(tmp_path), "--json"])
    assert done.exit_code == 1
    assert [shown["records"] for shown in json.loads(done.stdout)] == [[], []]
    assert "page.pdf: is HTML, not PDF" in done.stderr
    assert "style.css: left out" in done.stderr
    (tmp_path / "limit.json").write_text(CASES["limit.json"][0])
    done = runner.invoke(app, ["source", "preview", str(tmp_path)])
    assert done.exit_code == 0
    assert "fails:  is HTML" in done.stdout
