"""One triage question with a known shape: what a served model must be able to answer before it is used.

The question is a real prompt of the triage contract, so it tests what a scan depends on: the chat template,
the JSON schema and the room for the answer. What verdict the model gives is not judged.
"""

from __future__ import annotations

from securetag import triage
from securetag.records import Finding
from securetag.serving.client import ModelClient
from securetag.settings.sections import TriageSettings

FINDING = Finding(
    tool="semgrep",
    rule_id="securetag.python.sql-injection",
    cwe="CWE-89",
    title="SQL injection",
    message="Request data reaches a SQL statement.",
    severity="high",
    confidence="high",
    language="python",
    path="app.py",
    start_line=3,
    end_line=3,
    snippet="def user(request):\n    name = request.args['name']\n    return db.execute('SELECT ' + name)",
    snippet_line=1,
    scope="user",
    fingerprint="v1:" + "0" * 64,
)


def ask(
    client: ModelClient, settings: TriageSettings, *, timeout_s: float, logprobs: bool = False
) -> tuple[triage.Completion, triage.FullAnswer]:
    """Ask about `FINDING` and return the completion and the answer that was read from it.

    Raises ModelUnavailableError when no completion comes, TriageError for one that the schema forbids.
    """
    prompt = triage.render(FINDING, profile=settings.profile, lang=settings.lang)
    completion = client.chat(
        prompt.messages,
        schema=triage.schema(prompt),
        max_tokens=triage.MAX_ANSWER_TOKENS[prompt.profile],
        timeout_s=timeout_s,
        logprobs=logprobs,
    )
    return completion, triage.parse(completion.text, prompt)
