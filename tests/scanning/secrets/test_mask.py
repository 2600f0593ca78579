"""A secret's value is hidden wherever it stands, and in what scanners write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag import triage
from securetag.datasets.feedback.harvest import scrub_finding
from securetag.records import Finding
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.sarif.findings import rank_each
from securetag.scanning.scanner import Match, findings_of
from securetag.scanning.secrets.mask import collect_values, mask, mask_lines
from securetag.scanning.secrets.output import MAX_OUTPUT, mask_file, mask_output, mask_text
from securetag.scanning.web.redact import redact
from securetag.scrubbing import scrub
from securetag.scrubbing.scrub import MASK

VALUE = "q9X8w7V6u5T4s3R2"


def report(path: str, line: int, project: Path, message: str = "SQL") -> list[Finding]:
    match = Match("R1", path, line, line, "title", message, "high", "CWE-89")
    return findings_of([match], project, tool="other")


def test_a_value_is_hidden_where_nothing_tells_that_it_is_one() -> None:
    text = f"token = '{VALUE}'\nsend('{VALUE}')\nrows['{VALUE}x']\n"
    assert mask(text, "a.py") == f"token = '{MASK}'\nsend('{MASK}')\nrows['{VALUE}x']\n"


def test_a_password_of_letters_is_hidden_as_a_string_and_stays_as_a_name() -> None:
    text = "password = 'administrator'\nlogin('administrator', administrator)\n"
    assert mask(text, "a.py") == f"password = '{MASK}'\nlogin('{MASK}', administrator)\n"


def test_a_value_of_another_file_is_hidden(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"API_KEY={VALUE}\n")
    (tmp_path / "a.py").write_text(f"def f(x):\n    get(x, '{VALUE}')\n")
    findings = report("a.py", 2, tmp_path, f"{VALUE} reaches get") + report(".env", 1, tmp_path)
    for combined in (combine_evidence(findings, tmp_path), rank_each(findings, tmp_path)):
        assert VALUE not in repr(combined)
        assert any("get(x," in finding.snippet for finding in combined)


def test_a_key_is_hidden_where_the_snippet_has_a_part_of_it(tmp_path: Path) -> None:
    body = [f"MIIEpAIBAAKCAQEA{number}wq7Lr9mZtYc0" * 2 for number in range(4)]
    key = ["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----"]
    (tmp_path / "k.py").write_text('KEY = """' + "\n".join(key) + f'"""\n\ndef f():\n    eval("{body[2]}")\n')
    (finding,) = combine_evidence(report("k.py", 9, tmp_path), tmp_path)
    assert "eval" in finding.snippet
    assert body[2] not in finding.snippet


def test_values_of_files_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    assert collect_values(tmp_path, ["missing.py", ".", "a\0b"]) == frozenset()


def test_prompts_rows_and_harvested_findings_hold_no_value(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"def f(db):\n    password = '{VALUE}'\n    db.execute(q + '{VALUE}')\n")
    (finding,) = report("a.py", 3, tmp_path)
    assert VALUE in finding.snippet, "findings_of doesn't mask: combine_evidence does"
    assert VALUE not in repr(triage.render(finding, profile="full").messages)
    assert VALUE not in repr(scrub_finding(finding))


def test_a_slice_holds_no_value_of_a_line_that_the_snippet_lacks(tmp_path: Path) -> None:
    code = f"TOKEN = '{VALUE}'\n" + "\n" * 9 + "def f(db, q):\n    db.execute(q + TOKEN)\n"
    (tmp_path / "a.py").write_text(code)
    (finding,) = report("a.py", 12, tmp_path)
    assert any(VALUE in line.text for line in finding.code_slice), "nothing to hide"
    for masked in (scrub_finding(finding), *combine_evidence([finding], tmp_path)):
        assert [line.number for line in masked.code_slice] == [1, 11, 12]
        assert VALUE not in repr(masked)


SARIF = {
    "runs": [
        {
            "results": [
                {
                    "message": {"text": f"Possible password: '{VALUE}'", "arguments": [VALUE]},
                    "snippet": {"text": f"x='{VALUE}'"},
                }
            ]
        }
    ]
}
SEMGREP = {
    "results": [
        {
            "check_id": "r",
            "path": "a.py",
            "start": {"line": 3},
            "extra": {
                "message": f"`{VALUE}` is used",
                "lines": f"f({VALUE})",
                "metavars": {"$X": {"abstract_content": VALUE}},
                "fix": VALUE,
            },
        }
    ],
    "errors": [
        {"type": "Syntax error", "message": f"Syntax error at a.py:3:\n `f({VALUE}\n)` was unexpected"}
    ],
}


@pytest.mark.parametrize(
    "document", [SARIF, SEMGREP, [VALUE and f"api_key={VALUE}"]], ids=["sarif", "semgrep", "list"]
)
def test_a_report_keeps_no_code_and_no_value(document: object) -> None:
    masked = mask_output(json.dumps(document).encode())
    assert VALUE.encode() not in masked
    assert json.loads(masked), "it is still a report"
    assert mask_output(masked) == masked


def test_places_of_a_report_stay() -> None:
    (result,) = json.loads(mask_output(json.dumps(SEMGREP).encode()))["results"]
    assert (result["check_id"], result["path"], result["start"]) == ("r", "a.py", {"line": 3})


def test_a_report_of_lines_stays_one() -> None:
    lines = b'{"path":"a","text":"password=hunter2hunter2"}\n{"files":1}\n'
    assert mask_output(lines).splitlines() == [
        b'{"path":"a","text":"password=%s"}' % MASK.encode(),
        b'{"files":1}',
    ]


def test_other_output_is_masked_as_a_text(tmp_path: Path) -> None:
    assert mask_text("warning: password=hunter2hunter2\n") == f"warning: password={MASK}\n"
    long = tmp_path / "out"
    long.write_text(
        "x" * 6_000 + f" key {VALUE}\nbad \ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    )
    mask_file(long)
    assert long.read_text().startswith("[a line of 6,021 characters]")


def test_an_output_that_is_too_large_to_be_read_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        file.truncate(MAX_OUTPUT + 1)
    mask_file(path)
    assert path.read_text() == f"not stored: {MAX_OUTPUT + 1:,} bytes\n"


@given(st.binary(max_size=200))
def test_any_output_is_masked_without_an_error(content: bytes) -> None:
    mask_output(content)


def test_web_answers_lose_the_tokens_that_files_lose() -> None:
    token = "xapp-1-" + "A0B1C2D3E4F5G6H7I8J9K0"
    assert token not in redact(f"HTTP/1.1 200 OK\n\n<p>{token}</p>")


def test_what_is_masked_stays_as_it_is_when_a_row_is_scrubbed() -> None:
    """Rows are rendered with masks, and a check of releases scrubs them again."""
    code = (
        'JWT_SECRET = "n0t-a-live-one-7Qm2Zx9Lw4"\n'
        'token = "q9X8w7V6u5T4s3R2q1P0"\n'
        'headers = {"Authorization": "Bearer q9X8w7V6u5T4s3R2q1P0"}\n'
        "url = 'postgresql://shop:Tr0ub4dorAndTh3Rest@redacted.example/shop'\n"
    )
    masked = mask(code, "app.py")
    assert MASK in masked
    scrubbed = scrub(masked).text
    assert scrub(mask(scrubbed, "app.py")).text == mask(scrubbed, "app.py") == scrubbed
    flagged, _ = mask_lines(scrubbed, range(4))
    assert scrub(flagged).text == flagged
