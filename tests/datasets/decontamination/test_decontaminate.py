"""Rows that overlap with an evaluation suite are dropped, by each measure; similar rows are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from securetag import triage
from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.decontamination.decontaminate import (
    decontaminate,
    drop_overlapping,
    find_split_overlaps,
    find_suite_overlaps,
)
from securetag.datasets.decontamination.suites import Suite, read_suite, suite_of
from securetag.datasets.dedup.forms import code_of, rename_variables, split_into_passages, split_text
from securetag.datasets.releases.release import read_release
from securetag.datasets.splitting.assign import moved_rows
from securetag.errors import InputError
from securetag.records import Construction, Example, Facts, Finding, JsonObject, Message, Origin, Record, Task
from securetag.scanning.local_names import rename_locals
from tests.plugins.small_build import build_small

BODEGA = Path(__file__).parents[3] / "securetag" / "examples" / "bodega"

QUESTION = "Which header keeps a browser from guessing the type of a page that was sent to it?"
PASSAGE = (
    "A cookie that carries a session is set with the attribute that keeps scripts away from it, with the one "
    "that keeps it off plain connections, and with the strictest setting for requests that begin on another "
    "site, unless signing in through somebody else's page would break."
)
CODE = """def invoice(number):
    name = request.args.get("file", "")
    path = os.path.join(FOLDER, name)
    if not os.path.exists(path):
        abort(404)
    return send_file(path, as_attachment=True)
"""
OTHER_NAMES = (
    CODE.replace("name", "wanted")
    .replace("invoice", "bill")
    .replace("path =", "target =")
    .replace("(path", "(target")
    .replace("    if", "    # does it exist?\n    if")
)


def row(question: str, answer: str, **more: Any) -> Example:
    split = more.pop("split", None)
    example = Example.of(
        task=Task.QA,
        messages=[Message("system", "Be brief."), Message("user", question), Message("assistant", answer)],
        lang="en",
        licence="MIT",
        group="g",
        origin="template",
        origins=[Origin(record_id="r")],
        source="s",
        **more,
    )
    return msgspec.structs.replace(example, split=split)


def triage_row(code: str, **more: Any) -> Example:
    split = more.pop("split", None)
    finding = Finding(
        tool="semgrep",
        rule_id="r",
        cwe="CWE-22",
        title="Path traversal",
        message="m",
        severity="high",
        confidence="high",
        language="python",
        path="a.py",
        start_line=3,
        end_line=3,
        snippet=code,
        snippet_line=1,
        scope="f",
        fingerprint="v1:0",
    )
    prompt = triage.render(finding, profile="compact")
    example = Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", '{"v": 1}')],
        lang="en",
        licence="MIT",
        group=code,
        origin=more.pop("origin", "analyst"),
        origins=[Origin(record_id="r")],
        source="s",
        label="true_positive",
        label_source="analyst",
        prompt_version=prompt.version,
        **more,
    )
    return msgspec.structs.replace(example, split=split)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "quiz.jsonl"
    lines: list[JsonObject] = [
        {"id": "q1", "question": QUESTION, "choices": ["None of them", "All of them are right here"]},
        {"id": 2, "passage": PASSAGE},
        {"prompt": CODE, "label": 1},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return read_suite(path)


@pytest.mark.parametrize(
    ("overlapping", "against", "measure"),
    [
        pytest.param(
            row(QUESTION, "Nosniff, in the header for content type options."),
            "quiz/q1",
            "exact",
            id="same question",
        ),
        pytest.param(
            row(QUESTION.upper().replace(" ", "\n"), "Nosniff."),
            "quiz/q1",
            "normalised",
            id="question in other case and spacing",
        ),
        pytest.param(row("What is a safe cookie?", PASSAGE), "quiz/2", "exact", id="same answer"),
        pytest.param(
            row("What is a safe cookie?", PASSAGE.replace("cookie", "token", 1)),
            "quiz/2",
            "n-gram",
            id="one word of the answer changed",
        ),
        pytest.param(
            row("And a cookie?", PASSAGE + " " + " ".join(f"word{n}" for n in range(300))),
            "quiz/2",
            "n-gram",
            id="answer inside a long text",
        ),
        pytest.param(
            row("And a cookie?", " ".join(PASSAGE.split()[:30])),
            "quiz/2",
            "n-gram",
            id="first 30 words of the answer",
        ),
        # A compact prompt has letters for names.
        pytest.param(triage_row(CODE), "quiz/line 3", "normalised", id="same code"),
        pytest.param(triage_row(OTHER_NAMES), "quiz/line 3", "normalised", id="code with renamed variables"),
        pytest.param(
            triage_row(CODE.replace("abort(404)", "raise Gone()")),
            "quiz/line 3",
            "n-gram",
            id="one statement of the code changed",
        ),
        pytest.param(
            row("Fix this.", f"```python\n{OTHER_NAMES}```\nDone."),
            "quiz/line 3",
            "normalised",
            id="renamed code in a Markdown fence",
        ),
    ],
)
def test_each_measure_drops_its_overlapping_rows(
    suite: Suite, overlapping: Example, against: str, measure: str
) -> None:
    unrelated = row("What is a session?", "Something that a server remembers of a browser between requests.")
    kept, drops = decontaminate([unrelated, overlapping], [suite])
    assert kept == [unrelated]
    assert [(d.against, d.reason) for d in drops] == [(against, f"suite_{measure.replace('-', '')}")]
    assert find_suite_overlaps(kept, [suite]) == []


@pytest.mark.parametrize(
    "unrelated",
    [
        pytest.param(
            row("Which header keeps a browser from framing a page?", "All of them are right here"),
            id="another question with an answer choice",
        ),
        pytest.param(
            row("What is a safe cookie?", "A cookie that carries a session is set with three attributes."),
            id="another answer",
        ),
        pytest.param(
            triage_row("def f(name):\n    return os.remove(os.path.join(FOLDER, name))\n"), id="other code"
        ),
    ],
)
def test_similar_rows_are_kept(suite: Suite, unrelated: Example) -> None:
    assert decontaminate([unrelated], [suite])[0] == [unrelated]


def test_both_rows_of_a_pair_are_dropped(suite: Suite) -> None:
    pair = [triage_row(CODE, pair_id="p"), triage_row("def g(a):\n    return eval(a)\n", pair_id="p")]
    assert decontaminate(pair, [suite])[0] == []


def test_held_out_rows_that_overlap_with_train_are_dropped() -> None:
    rows = [
        row("What is a safe cookie?", PASSAGE, split="train"),
        row("Describe a safe cookie.", PASSAGE.replace("cookie", "token", 1), split="test"),
        row("what is a safe COOKIE", "One with attributes.", split="validation"),
        row("What is a nonce?", "A number that is used once.", split="test"),
        row("What is a salt?", "A value that makes equal passwords differ.", split="validation"),
    ]
    overlaps = find_split_overlaps(rows)
    assert {(m.measure, m.against) for m in overlaps} == {("n-gram", rows[0].id), ("normalised", rows[0].id)}
    kept, drops = drop_overlapping(rows)
    assert kept == [rows[0], rows[3], rows[4]]
    assert {d.against for d in drops} == {rows[0].id}
    assert find_split_overlaps(kept) == []


def test_synthetic_rows_are_compared_by_their_whole_code() -> None:
    made = Construction(
        source="s", guard="g", guard_family="f", sink="k", framework="w", shape="h", oracle="o"
    )
    near = CODE.replace("abort(404)", "raise Gone()")
    train = triage_row(CODE, split="train", origin="composition", construction=made)
    test = triage_row(near, split="test", origin="composition", construction=made)
    assert find_split_overlaps([train, test]) == []
    assert [m.measure for m in find_split_overlaps([train, triage_row(near, split="test")])] == ["n-gram"]
    renamed = triage_row(OTHER_NAMES, split="test", origin="composition", construction=made)
    assert [m.measure for m in find_split_overlaps([train, renamed])] == ["normalised"]


def test_the_test_split_of_an_older_release_can_be_a_suite() -> None:
    old = row(QUESTION, "Nosniff.", split="test")
    assert decontaminate([row(QUESTION, "It is called nosniff.")], [suite_of("old", [old])])[0] == []


def test_a_suite_may_contain_triage_examples(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_bytes(msgspec.json.encode(triage_row(CODE)) + b"\n")
    examples = read_suite(path)
    assert examples.rows[0].passages == split_into_passages(triage_row(CODE))
    # The system prompt, the class and the verdict are in every row and are not an overlap.
    other = triage_row("def f(name):\n    return os.remove(os.path.join(FOLDER, name))\n")
    assert decontaminate([other], [examples])[0] == [other]


def test_an_application_with_ground_truth_is_a_suite() -> None:
    bodega = read_suite(BODEGA)
    assert bodega.name == "bodega"
    assert len(bodega.rows) > 50
    first = next(p.text for r in bodega.rows for p in r.passages if p.text.startswith("def "))
    assert [m.measure for m in find_suite_overlaps([triage_row(first)], [bodega])] in (
        ["exact"],
        ["normalised"],
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "empty", id="empty file"),
        pytest.param(b"\n\n", "empty", id="blank lines"),
        pytest.param(b'{"a": 1}\n{', "line 2", id="truncated JSON"),
        pytest.param(b"\xff\xfe", "line 1", id="not UTF-8"),
        pytest.param(b"[" * 9000, "line 1", id="deep nesting"),
    ],
)
def test_an_unreadable_suite_names_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_suite(path)


def test_a_missing_suite_and_one_with_files_outside_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_suite(tmp_path / "none.jsonl")
    (tmp_path / "ground_truth.csv").write_text("id,path,scope\n1,../../etc/passwd,\n")
    with pytest.raises(InputError, match="outside"):
        read_suite(tmp_path)
    (tmp_path / "ground_truth.csv").write_text("id,file\n1,x\n")
    with pytest.raises(InputError, match="ground truth"):
        read_suite(tmp_path)


def test_renaming_changes_variables_and_keeps_calls() -> None:
    assert rename_variables(CODE) == rename_variables(OTHER_NAMES)
    assert rename_variables(CODE) != rename_variables(CODE.replace("send_file", "open"))
    assert rename_variables(CODE) != rename_variables(CODE.replace("not os", "os"))
    script = "const a = req.query.b; // why\nfoo(`x ${a}`)"
    assert rename_variables(script) == rename_variables(
        script.replace("const a", "const zz").replace("{a}", "{zz}").replace(" // why", "")
    )


def test_the_code_of_a_prompt_is_the_code_of_its_finding() -> None:
    for profile in ("compact", "full"):
        finding = Finding(
            tool="t",
            rule_id="r",
            cwe="CWE-22",
            title="T",
            message="1 thing",
            severity="high",
            confidence="high",
            language="python",
            path="a.py",
            start_line=3,
            end_line=3,
            snippet=CODE,
            snippet_line=1,
            scope="f",
            fingerprint="v1:0",
        )
        prompt = triage.render(finding, profile=profile)  # type: ignore[arg-type]
        assert code_of(row("", "")) == ""
        example = msgspec.structs.replace(
            triage_row(CODE),
            messages=[*prompt.messages, Message("assistant", "{}")],
            prompt_version=prompt.version,
        )
        code = CODE if profile == "full" else "\n".join(rename_locals(CODE.split("\n")))
        assert code_of(example).rstrip() == code.rstrip()


def test_parts_of_a_message() -> None:
    parts = list(split_text("Fix it:\n```python\nx = 1\n```\nNow.", question=True))
    assert [(p.code, p.question) for p in parts] == [(True, False), (False, True)]
    assert [p.text.split() for p in split_text("Fixed:\n```\nx\n```\nSo.")][1] == ["Fixed:", "So."]
    assert [p.code for p in split_text("a = f(x);\nb = g(a);\n")] == [True]
    assert list(split_text("  \n")) == []


def advisory(number: int, text: str = "", *, kind: str = "vulnerability") -> Record:
    key = f"CVE-2024-{1000 + number}"
    return Record.of(
        source="s",
        publisher="P",
        key=key,
        title=f"Flaw {number}",
        lang="en",
        url="",
        edition="1",
        licence="MIT",
        text=text
        or f"Module {number} trusts a length that a stranger wrote into its file and reads other memory.",
        file_sha256="0" * 64,
        locator="",
        facts=Facts(kind=kind, published="2024-05-01"),
    )


def test_a_build_drops_rows_of_suites_and_names_the_suite(tmp_path: Path) -> None:
    folder = tmp_path / "suite.jsonl"
    folder.write_text(json.dumps({"id": "q", "text": PASSAGE}))

    def build_with_suite(records: list[Record]) -> ReleaseSummary:
        params = BuildParams(synthetic=0, knowledge=1_000)
        return build_small(tmp_path, records, params, suites=[read_suite(folder)])

    small = build_with_suite([advisory(n) for n in range(120)])
    large = build_with_suite(
        [*(advisory(n) for n in range(300)), advisory(900, PASSAGE, kind="countermeasure")]
    )
    assert large.dropped["suite_exact"] == 1
    left = pq.read_table(Path(large.path) / "dropped.parquet").to_pylist()
    assert {row["against"] for row in left if row["reason"].startswith("suite_")} == {"suite/q"}
    before, after = read_release(Path(small.path)), read_release(Path(large.path))
    assert before.test
    assert moved_rows(after.train, [example.id for example in before.test]) == []
    assert find_split_overlaps([*after.train, *after.validation, *after.test]) == []
    assert set(after.manifest.inputs["suites"]) == {"suite"}
