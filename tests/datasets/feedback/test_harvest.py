"""Verdicts of a tenant: scrubbed, then made into reviewed rows."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from planted import IDENTITIES, SECRETS, planted

from securetag import triage
from securetag.datasets.drops import DropReason
from securetag.datasets.feedback import reviewed_rows
from securetag.datasets.feedback.harvest import LICENCE, SOURCE, make_pseudonym, to_verdict
from securetag.datasets.releases import checks
from securetag.datasets.splitting import assign
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import Finding, HarvestedVerdict, Origin

MakeVerdict = Callable[..., HarvestedVerdict]
MakeFinding = Callable[..., Finding]

SECRET_CODE = """def pay(request):
    key = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
    # written by maria.lopez@tienda-lopez.es on db3.tienda.internal
    return db.execute("SELECT " + request.args["x"])
"""


def test_every_text_of_a_finding_is_scrubbed(finding: MakeFinding) -> None:
    dirty = msgspec.structs.replace(
        finding(SECRET_CODE, line=4, path="home/maria@tienda-lopez.es/app.py"),
        message="Ask maria.lopez@tienda-lopez.es",
        scope="pay",
        title="See db3.tienda.internal",
        recommendation="Mail maria.lopez@tienda-lopez.es",
    )
    harvested = to_verdict(
        finding=dirty,
        label="true_positive",
        saw_model=True,
        model_decision=None,
        scripted=False,
        reviewer="Maria Lopez",
        origin=Origin(finding_id="f", tenant_id="t", consent_id="c"),
    )
    text = msgspec.json.encode(harvested).decode()
    for leak in ("sk_live", "4eC39", "maria", "Maria", "tienda", dirty.fingerprint):
        assert leak not in text
    assert harvested.finding.snippet.count("\n") == dirty.snippet.count("\n")
    assert harvested.record.source == SOURCE
    assert harvested.record.licence == LICENCE


def test_a_record_has_no_database_id(verdict: MakeVerdict) -> None:
    first, second = verdict(finding="f-1", tenant="t-1"), verdict(finding="f-2", tenant="t-2")
    assert first.record == second.record
    assert first.reviewer != second.reviewer
    assert make_pseudonym("Ada", "t-1") == first.reviewer


def test_moving_the_code_changes_nothing(finding: MakeFinding) -> None:
    def harvested(line: int) -> str:
        moved = msgspec.structs.replace(
            finding(), start_line=line + 1, end_line=line + 1, snippet_line=line, path=f"app/v{line}.py"
        )
        return to_verdict(
            finding=moved,
            label="true_positive",
            saw_model=False,
            model_decision=None,
            scripted=False,
            reviewer="Ada",
            origin=Origin(finding_id="f"),
        ).record.id

    assert harvested(10) == harvested(500)


@pytest.mark.parametrize("profile", ["compact", "full"])
def test_a_reviewed_row_is_a_triage_answer_on_the_flagged_line(
    verdict: MakeVerdict, profile: triage.Profile
) -> None:
    rows, drops = reviewed_rows.make_reviewed_rows([verdict()], PromptStyle(profile, "en"))
    assert drops == []
    row = rows[0]
    prompt = triage.read_prompt(row.messages, row.prompt_version)
    answer = triage.parse(row.messages[-1].content, prompt)
    assert (answer.verdict, answer.evidence) == ("true_positive", [(2, 2)])
    assert (row.label_source, row.origin, row.split) == ("analyst", "analyst", None)


def test_reviewers_who_agree_make_one_row_and_who_disagree_none(verdict: MakeVerdict) -> None:
    agreed = [verdict(reviewer="Ada", finding="f-1"), verdict(reviewer="Bo", finding="f-1", tenant="t-2")]
    rows, drops = reviewed_rows.make_reviewed_rows(agreed, PromptStyle("compact", "en"))
    assert len(rows) == 1
    assert drops == []
    rows, drops = reviewed_rows.make_reviewed_rows(
        [*agreed, verdict(label="false_positive", reviewer="Cy")], PromptStyle("compact", "en")
    )
    assert rows == []
    assert [(drop.reason, drop.n) for drop in drops] == [(DropReason.VERDICT_DISAGREEMENT, 3)]


def test_findings_in_the_same_code_are_one_group(verdict: MakeVerdict, finding: MakeFinding) -> None:
    code = "def f(q):\n    db.execute(q)\n    return eval(q)\n"
    moved = msgspec.structs.replace(
        finding(code, line=3), path="other/place.py", fingerprint="v1:" + "b" * 64
    )
    other = to_verdict(
        finding=moved,
        label="false_positive",
        saw_model=False,
        model_decision=None,
        scripted=False,
        reviewer="Ada",
        origin=Origin(finding_id="f-2"),
    )
    assert reviewed_rows.project_group(verdict(code)) == reviewed_rows.project_group(other)
    assert verdict(code).record.id != other.record.id


def test_rows_of_a_project_are_in_one_split_and_shared_code_does_not_leak(
    verdict: MakeVerdict,
) -> None:
    def judged(project: int, code: str) -> HarvestedVerdict:
        made = verdict(code, finding=f"f-{project}-{hash(code)}")
        return msgspec.structs.replace(made, project=f"v1:{project:032x}" + "0" * 32)

    shared = "def view(q):\n    return db.execute(q, 'shared')\n"
    harvested = [
        judged(project, f"def view(q):\n    return db.execute(q, {project}, {n})\n")
        for project in range(60)
        for n in range(3)
    ]
    rows, _ = reviewed_rows.make_reviewed_rows(harvested, PromptStyle("compact", "en"))
    placed = assign.assign_splits(rows, reviewed_rows.group_keys(harvested)).rows
    splits = {row.group: row.split for row in placed}
    assert len(splits) == 60
    assert all(row.split == splits[row.group] for row in placed)
    assert set(splits.values()) == {"train", "validation", "test"}

    # The same finding in a project of train and in one of test: held out, since held out beats training.
    trained, tested = (
        next(number for number in range(60) if splits[f"project/{number:032x}"] == wanted)
        for wanted in ("train", "test")
    )
    twice = [*harvested, judged(trained, shared), judged(tested, shared)]
    rows, _ = reviewed_rows.make_reviewed_rows(twice, PromptStyle("compact", "en"))
    placed = assign.assign_splits(rows, reviewed_rows.group_keys(twice)).rows
    (both,) = [row for row in placed if "shared" in row.messages[-2].content]
    assert both.split == "test"

    # Other findings in the same code are separate rows: the held-out one is dropped.
    other = msgspec.structs.replace(judged(trained, shared), label="false_positive")
    other = msgspec.structs.replace(
        other,
        record=msgspec.structs.replace(other.record, id="e" * 64),
        finding=msgspec.structs.replace(other.finding, cwe="CWE-90"),
        origin=Origin(finding_id="f-other", tenant_id="t-9", consent_id="c"),
    )
    separate = [*harvested, judged(tested, shared), other]
    rows, _ = reviewed_rows.make_reviewed_rows(separate, PromptStyle("compact", "en"))
    kept, drops = assign.drop_cross_split(
        assign.assign_splits(rows, reviewed_rows.group_keys(separate)).rows,
        reviewed_rows.group_keys(separate),
    )
    assert [row.split for row in kept if "shared" in row.messages[-2].content] == ["train"]
    assert [drop.reason for drop in drops] == [DropReason.SPLIT_IDENTIFIER]


@pytest.mark.parametrize("profile", ["compact", "full"])
def test_a_second_scrub_changes_no_row_of_scrubbed_code(
    verdict: MakeVerdict, profile: triage.Profile
) -> None:
    """A prompt has line numbers and the rule before the code; none of it is scrubbed as a secret."""
    cases = [*planted(SECRETS, 5, each=8), *planted(IDENTITIES, 5, each=12)]
    rows, drops = reviewed_rows.make_reviewed_rows(
        [verdict(case.text) for case in cases], PromptStyle(profile, "en")
    )
    assert (len(rows) >= 50, drops) == (True, []), len(rows)
    results = {result.name: result for result in checks.run_checks(rows, purpose="internal")}
    offending = {row.id: row.messages[-2].content for row in rows if row.id in results["no_secret"].offending}
    assert offending == {}
