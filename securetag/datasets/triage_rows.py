"""Triage rows: a finding, its label, and the answer that a model should give, for every kind of label."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from securetag import rules, triage
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

#: Share of the prompts of profile `full` that are in Spanish where a release's language is English: at
#: least a tenth, and a share that is drawn varies. A prompt of profile `compact` is code alone.
SPANISH_SHARE = 0.12


def _lot(key: str) -> float:
    return int.from_bytes(hashlib.sha256(f"language/{key}".encode()).digest()[:4]) / 2**32


class PromptStyle(NamedTuple):
    """Which triage contract rows are rendered for, and the language of their prompts."""

    profile: triage.Profile
    lang: Lang

    def draw_language(self, key: str) -> PromptStyle:
        """Return the style of one item: Spanish for SPANISH_SHARE of the keys, else this one."""
        is_drawn = self._has_spanish and _lot(key) < SPANISH_SHARE
        return self._replace(lang="es") if is_drawn else self

    def draw_languages(self, keys: Collection[str]) -> dict[str, PromptStyle]:
        """Return the style of each of `keys`: SPANISH_SHARE of them, rounded up, are Spanish.

        Where the items are all there, the share doesn't vary with what is drawn.
        """
        count = math.ceil(SPANISH_SHARE * len(keys)) if self._has_spanish else 0
        drawn = set(sorted(keys, key=_lot)[:count])
        return {key: self._replace(lang="es") if key in drawn else self for key in keys}

    @property
    def _has_spanish(self) -> bool:
        return self.profile == "full" and self.lang == "en"

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


def translate(finding: Finding, lang: Lang) -> Finding:
    """Return the finding with what its rule says in `lang`; as it is where that isn't ours."""
    rule = rules.catalogue().get(finding.rule_id)
    if rule is None:
        return finding
    return msgspec.structs.replace(
        finding,
        message=_put(finding.message, rule.message, lang),
        recommendation=_put(finding.recommendation, rule.recommendation, lang),
    )


def _put(text: str, both: rules.Text, lang: Lang) -> str:
    """Return `text` with a rule's sentence in `lang`; what is beside it (the cell of a notebook) stays."""
    for sentence in (both.en, both.es):
        if sentence in text:
            return text.replace(sentence, both.get(lang), 1)
    return text


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

    Output: messages system, user, assistant; no split yet. `evidence` are lines of the file, of which the row
    has those that the prompt shows, counted as the prompt counts them. Without any the answer names the
    flagged lines.
    """
    prompt = triage.render(finding, profile=style.profile, lang=style.lang)
    start = prompt.place(finding.start_line) or prompt.lines
    end = max(start, prompt.place(finding.end_line) or start)
    evidence = [
        EvidenceSpan(span.role, first, max(first, prompt.place(span.last) or first))
        for span in evidence
        if (first := prompt.place(span.first)) is not None
    ]
    answer = triage.answer(
        profile=style.profile,
        evidence=[(span.first, span.last) for span in evidence] or [(start, end)],
        verdict=Decision(labelled.label),
        # A compact answer has no prose, and not all lines that the prose is about.
        reasoning=""
        if style.profile == "compact"
        else labelled.reasoning.format(line=start, **{span.role: span.first for span in evidence}),
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
        evidence=evidence,
        construction=construction,
        prompt_version=prompt.version,
    )
