"""Triage rows: a finding, its label, and the answer that a model should give, for every kind of label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from securetag import triage
from securetag.records import (
    Construction,
    Decision,
    EvidenceSpan,
    Example,
    Finding,
    Label,
    Lang,
    Message,
    Origin,
    Task,
)


class PromptStyle(NamedTuple):
    """Which triage contract rows are rendered for, and the language of their prompts."""

    profile: triage.Profile
    lang: Lang

    @property
    def prompt_lang(self) -> Literal["en", "es"]:
        """The language of what our own texts say in an answer."""
        return "es" if self.lang == "es" else "en"


class Labelled(NamedTuple):
    """What was found out about a finding, by whom, and where the row comes from."""

    label: Label
    label_source: Literal["execution", "fix", "analyst"]
    #: Sentence of the answer, with places `{line}` or `{source}`, `{guard}`, `{sink}` for line numbers.
    reasoning: str
    recommendation: str
    origin: Literal["template", "composition", "analyst"]
    origins: list[Origin]
    source: str
    licence: str
    group: str


def make_triage_row(
    finding: Finding,
    labelled: Labelled,
    style: PromptStyle,
    *,
    evidence: Sequence[EvidenceSpan] = (),
    pair_id: str | None = None,
    construction: Construction | None = None,
) -> Example:
    """Return the row in which a model is asked about `finding` and answers with its label.

    Output: messages system, user, assistant; no split yet. Without `evidence` (lines of the prompt's code)
    the answer names the flagged lines.
    """
    prompt = triage.render(finding, profile=style.profile, lang=style.lang)
    start = min(max(finding.start_line - prompt.first_line + 1, 1), prompt.lines)
    end = min(max(finding.end_line - prompt.first_line + 1, start), prompt.lines)
    answer = triage.answer(
        profile=style.profile,
        evidence=[(span.first, span.last) for span in evidence] or [(start, end)],
        verdict=Decision(labelled.label),
        reasoning=labelled.reasoning.format(line=start, **{span.role: span.first for span in evidence}),
        recommendation=labelled.recommendation,
    )
    return Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", answer)],
        lang=style.lang,
        licence=labelled.licence,
        group=labelled.group,
        origin=labelled.origin,
        origins=labelled.origins,
        source=labelled.source,
        label=labelled.label,
        label_source=labelled.label_source,
        pair_id=pair_id,
        evidence=list(evidence),
        construction=construction,
        prompt_version=prompt.version,
    )
