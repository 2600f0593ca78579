"""No planted secret survives in a release, whatever way it came in: documents, verdicts, packages.

What is planted shares nothing with the scrubber, and it is searched for as bytes in every file of the release
and in the decoded columns of its tables.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from planted import IDENTITIES, SECRETS, Planted, planted
from small_build import build_small

from securetag.datasets.build import BuildParams
from securetag.datasets.feedback.harvest import to_verdict
from securetag.datasets.releases.release import read_release
from securetag.extractors.extract import extract
from securetag.records import Finding, HarvestedVerdict, Origin, Record
from securetag.settings import Settings, get_settings

pytestmark = pytest.mark.system

#: One of each kind for each way in; short passwords could be found by chance.
CASES = [case for case in planted(SECRETS, 11, each=3) if len(case.secret) >= 8]
EMAILS = planted({"e-mail address": IDENTITIES["e-mail address"]}, 12, each=6)
HANDLER = """from flask import Flask, request
import os

app = Flask(__name__)


@app.route("/run")
def run():
    name = request.args["name"]
{planted}
{guard}    os.system("convert " + name)
    return "done"
"""
GUARD = '    if name not in load_names():\n        return "unknown", 404\n'


def list_comments(cases: list[Planted]) -> list[str]:
    """Return the lines with a secret as comments, since not all of them are Python."""
    return [
        f"    # {line.strip()}"
        for case in cases
        for line in case.text.split("\n")
        if case.secret in line and "\n" not in case.secret
    ]


def write_documents(folder: Path, cases: list[Planted]) -> None:
    folder.mkdir()
    for number, case in enumerate(cases):
        prose = "Rotate what was committed, then remove it from the history of the repository. " * 3
        text = f"# Note {number}\n\n## How to store it\n\n{prose}\n\n```\n{case.text}\n```\n\n{case.text}\n"
        (folder / f"note{number}.md").write_text(text)


def write_packages(folder: Path, cases: list[Planted]) -> None:
    folder.mkdir()
    lines = "\n".join(list_comments(cases)[::4][:20])
    for version, guard in (("1.0", ""), ("1.1", GUARD)):
        info = f"shop-{version}.dist-info"
        with zipfile.ZipFile(folder / f"shop-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("shop/app.py", HANDLER.format(planted=lines, guard=guard))
            metadata = f"Metadata-Version: 2.4\nName: shop\nVersion: {version}\nLicense-Expression: MIT\n"
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")


def make_verdicts(cases: list[Planted]) -> list[HarvestedVerdict]:
    verdicts = []
    for number, case in enumerate(cases):
        code = f"{case.text}\n\ndef f{number}(q):\n    return db.execute(q)\n"
        line = code.count("\n")
        finding = Finding(
            tool="semgrep",
            rule_id="securetag.python.sql-injection",
            cwe="CWE-89",
            title="SQL injection",
            message=f"Text reaches a statement. {case.text}",
            severity="high",
            confidence="high",
            language="python",
            path="app/x.py",
            start_line=line,
            end_line=line,
            snippet=code,
            snippet_line=1,
            scope=f"f{number}",
            fingerprint="v1:" + "a" * 64,
        )
        verdicts.append(
            to_verdict(
                finding=finding,
                label="true_positive" if number % 2 else "false_positive",
                saw_model=False,
                model_decision=None,
                scripted=False,
                reviewer="Ada",
                origin=Origin(finding_id=f"finding-{number}", tenant_id="tenant", consent_id="consent"),
                project=f"v1:{number:064x}",
            )
        )
    return verdicts


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    thirds = [CASES[start::3] + EMAILS[start::3] for start in range(3)]
    write_documents(folder / "documents", thirds[0])
    write_packages(folder / "index", CASES)
    row = {
        "tier": "extended",
        "publisher": "Us",
        "edition": "1",
        "url": "https://e.org",
        "licence": "MIT",
    }
    fix = {"ecosystem": "pypi", "package": "shop", "vulnerable": "1.0", "fixed": "1.1"}
    fix |= {"advisory": "CVE-2020-0001", "cwe": "CWE-78"}
    rows = [
        {**row, "name": "notes", "dataset": "notes", "title": "Notes", "reader": "markdown"}
        | {"folder": {"path": "documents"}},
        {**row, "name": "fixes", "dataset": "fixes", "title": "Fixes", "reader": "advisory-fixes"}
        | {"published": [fix]},
    ]
    (folder / "catalog.yaml").write_text(yaml.safe_dump(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder / "index"))
        patch.delenv("SECURETAG_MIRROR", raising=False)
        get_settings.cache_clear()
        update = {"data": folder / "data", "catalog": folder / "catalog.yaml"}
        settings = get_settings().model_copy(update=update)
        records = [*extract_all("notes", settings), *extract_all("fixes", settings)]
    get_settings.cache_clear()
    params = BuildParams(profile="full", synthetic=0, knowledge=1_000, test_since=None)
    summary = build_small(folder, records, params, verdicts=make_verdicts(thirds[1]))
    return Path(summary.path)


def extract_all(name: str, settings: Settings) -> list[Record]:
    extraction = extract(name, settings)
    assert not extraction.report.failures
    return list(extraction.records)


def read_everything(folder: Path) -> str:
    """Return the text of all files of a release; tables are decoded, since their bytes are compressed."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            parts.append(str(pq.read_table(path).to_pylist()))
        elif path.is_file():
            parts.append(path.read_bytes().decode("utf-8", errors="replace"))
    return "\n".join(parts)


def test_every_way_in_gave_rows_with_the_marks_of_scrubbing(release: Path) -> None:
    content = read_release(release)
    rows = [*content.train, *content.validation, *content.test]
    for source in ("notes", "fixes", "securetag-harvest"):
        texts = [message.content for row in rows if row.source == source for message in row.messages]
        assert any("REDACTED" in text or "redacted" in text for text in texts), source
    assert {row.label for row in rows if row.source == "fixes"} == {"true_positive", "false_positive"}


def test_no_planted_secret_is_in_any_file_of_the_release(release: Path) -> None:
    text = read_everything(release)
    left = [
        (case.kind, part)
        for case in [*CASES, *EMAILS]
        for part in case.secret.split("\n")
        if len(part) > 7 and part in text
    ]
    assert len(CASES) > 50
    assert left == []
