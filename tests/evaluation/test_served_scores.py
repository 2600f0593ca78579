"""One score everywhere: a worker and an evaluation read the same from the real embedded runtime."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from securetag import triage
from securetag.evaluation import metrics, suites
from securetag.records import Example, Finding, Origin, Task, Verdict
from securetag.serving import base
from securetag.serving.client import RuntimeClient, make_predictor
from securetag.serving.runtime import Runtime
from securetag.serving.smoke import FINDING
from securetag.settings.sections import TriageSettings
from securetag.worker.triager import Triager

pytestmark = [pytest.mark.system, pytest.mark.sockets]

SINKS = ("db.execute('SELECT ' + name)", "os.system(name)", "eval(name)", "db.execute('SELECT ?', [name])")


def make_finding(number: int) -> Finding:
    code = f"def handler_{number}(request):\n    name = request.args['name']\n    return {SINKS[number % 4]}"
    return msgspec.structs.replace(FINDING, snippet=code, fingerprint=f"v1:{number:064d}")


def make_example(finding: Finding) -> Example:
    prompt = triage.render(finding, profile="compact")
    return Example.of(
        task=Task.TRIAGE,
        messages=prompt.messages,
        lang="en",
        licence="Apache-2.0",
        group=finding.fingerprint,
        origin="composition",
        origins=[Origin(record_id="0" * 64)],
        source="synthetic",
        label="true_positive",
        label_source="execution",
        prompt_version=prompt.version,
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeClient]:
    folder = tmp_path_factory.mktemp("runtime")
    with Runtime(log_dir=folder) as runtime:
        url = runtime.serve(base.locate_base(), alias="base", model_id="ab" * 32)
        client = RuntimeClient(url, run_dir=folder, aliases=["base"])
        yield client
        client.close()


def test_worker_and_evaluation_read_the_same_score(client: RuntimeClient) -> None:
    findings = [make_finding(number) for number in range(6)]
    limits: list[int] = []
    asks = make_predictor(client, timeout_s=60, logprobs=True)

    def spy(messages: object, schema: object, limit: int) -> triage.Completion:
        limits.append(limit)
        return asks(messages, schema, limit)  # type: ignore[arg-type]

    examples = [make_example(finding) for finding in findings]
    verdicts = suites.score_verdicts(spy, examples)
    whole = triage.MAX_ANSWER_TOKENS["compact"]
    assert limits.count(whole) < len(limits)
    beside_others = suites.run_suite(asks, examples, free=False, workers=2)
    merged = suites.apply_to_rows(suites.merge_answers(verdicts, beside_others), None).rows
    assert all(metrics.agrees_as_served(row) for row in merged)

    triager = Triager(client, TriageSettings(aliases=["base"], timeout_s=60))
    given: list[Verdict | None] = triager.run(findings, budget_s=300).verdicts
    for row, verdict in zip(merged, given, strict=True):
        assert verdict is not None
        if row.margin is None:
            assert verdict.p_false_positive is None
            continue
        assert verdict.p_false_positive == pytest.approx(
            row.p_false_positive, abs=metrics.MAX_PROBABILITY_DRIFT
        )
    assert any(row.margin is not None for row in merged)
