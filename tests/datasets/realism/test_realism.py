"""Realism: what is counted, what is read, and that the figures tell planted differences apart."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import securetag.scanning
from securetag.cli import app
from securetag.datasets.build import ReleaseSummary
from securetag.datasets.realism import (
    LabeledSnippet,
    compare_with_real,
    measure_code,
    read_labeled,
    sample_functions,
    score_transfer,
    score_word_transfer,
    triage_code,
)
from securetag.datasets.realism.report import render_finding
from securetag.datasets.releases.baselines import code
from securetag.datasets.releases.release import read_release
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row
from securetag.errors import InputError
from securetag.scanning.scanner import Match, findings_of
from securetag.triage import render

HANDLER = '''import os
from flask import request

@app.route("/run")
@login
def run():
    """Run what the caller names."""
    name = request.args["name"]
    # checked by the proxy
    if name:
        os.system(name)
    return "http://example/#top"
'''


def test_a_handler_is_counted() -> None:
    assert measure_code(HANDLER) == {
        "lines": 11,
        "tokens": 39,
        "identifiers": 10,
        "imports": 2,
        "decorators": 2,
        "comments": 2,
        "calls": 2,
        "nesting": 2,
    }


@given(st.text(max_size=200))
def test_any_text_is_counted_and_comments_add_no_tokens(text: str) -> None:
    counts = measure_code(text)
    assert all(value >= 0 for value in counts.values())
    assert measure_code("# a note, f(x)\n" + text)["tokens"] == counts["tokens"]


def snippet(number: int, label: str, *, project: int = 0) -> LabeledSnippet:
    return LabeledSnippet(
        file=f"p{project}/f{number}.py",
        line=1,
        label=label,  # type: ignore[arg-type]
        language="python",
        code="x",
        first_line=1,
    )


def test_a_perfect_score_removes_all_and_a_lost_true_positive_counts() -> None:
    findings = [snippet(n, "true_positive") for n in range(50)]
    findings += [snippet(n, "false_positive") for n in range(50)]
    perfect = score_transfer(findings, [0.0] * 50 + [1.0] * 50)
    assert (perfect.auc, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    assert perfect.removed == {"0%": 1.0, "2%": 1.0}
    # One true positive scores as the surest false positive: nothing goes at 0 %, all at 2 % (1 of 50).
    one_lost = score_transfer(findings, [2.0] + [0.0] * 49 + [1.0] * 50)
    assert one_lost.removed == {"0%": 0.0, "2%": 1.0}
    assert one_lost.auc == 0.98


def test_random_scores_are_at_chance_and_the_interval_says_so() -> None:
    rng = random.Random(3)
    findings = [snippet(n, "true_positive" if n % 3 else "false_positive") for n in range(300)]
    scored = score_transfer(findings, [rng.random() for _ in findings])
    assert scored.low < 0.5 < scored.high
    assert 0.05 < scored.high - scored.low < 0.25


def test_findings_of_few_projects_that_agree_have_a_wider_interval() -> None:
    rng = random.Random(1)
    findings, scores = [], []
    for project in range(12):
        shift = rng.gauss(0, 3)
        for n in range(20):
            label = "false_positive" if (n + project) % 3 == 0 or shift > 1 else "true_positive"
            findings.append(snippet(n, label, project=project))
            scores.append(shift + rng.gauss(0, 0.1))
    by_project = score_transfer(findings, scores)
    alone = score_transfer([msgspec.structs.replace(f, file="p/f.py") for f in findings], scores)
    assert by_project.high - by_project.low > 1.5 * (alone.high - alone.low)


def test_one_label_alone_is_refused() -> None:
    with pytest.raises(InputError, match="both kinds"):
        score_transfer([snippet(1, "true_positive")], [0.5])


def test_alike_snippets_cannot_be_told_apart_and_others_can() -> None:
    words = ["alpha", "beta", "gamma", "delta", "store", "fetch"]
    rng = random.Random(0)

    def make(vocabulary: list[str]) -> list[str]:
        return [f"def f():\n    return {'.'.join(rng.choices(vocabulary, k=6))}" for _ in range(200)]

    alike = compare_with_real(make(words), make(words))
    assert 0.35 < alike.separability < 0.65
    assert compare_with_real(make(words), make([*words, "real"] * 2 + ["real"] * 8)).separability > 0.95
    assert alike.release_spread["lines"].p50 == 2
    with pytest.raises(InputError, match="3 snippets"):
        compare_with_real(make(words)[:3], make(words))


def test_labels_are_read_with_the_code_that_a_reader_sees(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "run.py").write_text(
        "import os\n\n\ndef run(name):\n    os.system(name)\n\n\nx = 1\n"
    )
    labels = tmp_path / "labels.csv"
    labels.write_text("file,line,label,cwe,note\nshop/run.py,5,true_positive,CWE-78,n\n")
    (finding,) = read_labeled(labels, tmp_path)
    assert finding.code == "def run(name):\n    os.system(name)"
    assert (finding.first_line, finding.cwe, finding.group) == (4, "CWE-78", "shop")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("file,label\na.py,true_positive\n", "no column line", id="a column is missing"),
        pytest.param("file,line,label\na.py,1,perhaps\n", "line 2", id="no such label"),
        pytest.param("file,line,label\na.py,x,true_positive\n", "line 2", id="a line that is no number"),
        pytest.param("file,line,label\na.py,9,true_positive\n", "has 2 lines", id="a line too many"),
        pytest.param("file,line,label\nb.py,1,true_positive\n", "No such file", id="no such file"),
        pytest.param("file,line,label\n../b.py,1,true_positive\n", "outside", id="a file outside"),
        pytest.param("file,line,label\na.txt,1,true_positive\n", "no language", id="no code"),
        pytest.param('file,line,label\n"a.py,1\n', "can't be read|line 2", id="an open quote"),
    ],
)
def test_labels_that_do_not_fit_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_labeled(tmp_path / "labels.csv", tmp_path)


def test_functions_are_sampled_once_and_in_the_same_order(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"m{number}.py").write_text(f"def f(a):\n    b = a\n    return b + {number % 2}\n")
    (tmp_path / "one.js").write_text("function g(a) {\n  const b = a;\n  return b;\n}\n")
    (tmp_path / "loop.py").symlink_to(tmp_path / "m0.py")
    functions = sample_functions(tmp_path, 10)
    assert len(functions) == 3
    assert sample_functions(tmp_path, 2) == functions[:2]
    with pytest.raises(InputError, match="no function"):
        sample_functions(tmp_path / "none", 1)


def test_functions_are_sliced_where_the_release_is(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(
        f"{HANDLER}\n\ndef other():\n    one = 1\n    return one\n", encoding="utf-8"
    )
    (code,) = sample_functions(tmp_path, 10, "compact")
    assert code.split("\n")[:2] == ['@app.route("/run")', "@login"]
    assert "        os.system(name)" in code.split("\n")
    assert "checked by the proxy" not in code
    assert 'return "http' not in code


def test_word_counts_score_findings_of_the_release_above_chance(
    built: ReleaseSummary, tmp_path: Path
) -> None:
    content = read_release(Path(built.path))
    examples = [*content.train, *content.validation, *content.test]
    rows = [row for row in content.train if row.label is not None]
    findings = []
    for number, row in enumerate(rows):
        findings.append(
            LabeledSnippet(
                file=f"p{number}/a.py",
                line=1,
                label=row.label,  # type: ignore[arg-type]
                language="python",
                code=code(row),
                first_line=1,
            )
        )
    scored = score_word_transfer(examples, findings, "compact")
    if scored is None:
        assert (
            min(sum(f.label == label for f in findings) for label in ("true_positive", "false_positive")) < 20
        )
    else:
        assert scored.auc > 0.9  # it has seen these rows


def test_the_command_compares_and_draws(built: ReleaseSummary, tmp_path: Path) -> None:
    picture = tmp_path / "realism.png"
    against = Path(securetag.scanning.__file__).parent
    command = ["dataset", "realism", built.path, "--against", str(against), "--picture", str(picture)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "Word counts tell release from real code" in shown.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(triage_code(read_release(Path(built.path)).train)) > 20


def test_the_command_scores_word_counts_on_a_suite_of_other_people(
    built: ReleaseSummary, tmp_path: Path
) -> None:
    rows = ["case,file,line,cwe,is_vulnerable"]
    for number in range(6):
        name = f"case{number}.py"
        (tmp_path / name).write_text(f"import os\n\n\ndef run(name):\n    os.system(name + '{number}')\n")
        rows.append(f"{number},{name},5,CWE-78,{'yes' if number % 2 else 'no'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    command = ["model", "score", "--dataset", built.path, "--suites", str(tmp_path), "--json"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    (suite,) = json.loads(shown.stdout)
    assert (suite["missed"], suite["unlabeled"], suite["models"]) == (0, 0, {})
    assert suite["word_counts"]["true_positives"] == 3
    assert set(suite["word_counts"]["removed"]) == {"0%", "2%"}


def test_training_worker_and_evaluation_read_the_same_slice(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(f"{HANDLER}\n\ndef other():\n    return 1\n", encoding="utf-8")
    match = Match(
        rule_id="r",
        path="run.py",
        start_line=11,
        end_line=11,
        title="t",
        message="m",
        severity="high",
        cwe="CWE-78",
    )
    (finding,) = findings_of([match], tmp_path, tool="semgrep")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,line,label,cwe\nrun.py,11,true_positive,CWE-78\n", encoding="utf-8")
    (labeled,) = read_labeled(labels, tmp_path)
    labelled = Labelled(
        label="true_positive",
        label_source="fix",
        reasoning="",
        recommendation="",
        origin="template",
        origins=[],
        source="s",
        licence="MIT",
        group="g",
    )
    asked_by_worker = render(finding, profile="compact").messages
    assert "# checked" not in asked_by_worker[1].content
    assert '\n@app.route("/")\n' in asked_by_worker[1].content
    assert render_finding(labeled, "compact").messages == asked_by_worker
    row = make_triage_row(finding, labelled, PromptStyle("compact", "en"))
    assert row.messages[:2] == asked_by_worker
