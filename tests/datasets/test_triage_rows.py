"""Triage rows in two languages: which prompts are Spanish, and that nothing of theirs is English."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest

from securetag import rules, triage
from securetag.datasets.feedback.reviewed_rows import make_reviewed_rows
from securetag.datasets.triage_rows import SPANISH_SHARE, PromptStyle, translate
from securetag.records import Finding, HarvestedVerdict, Lang


@pytest.mark.parametrize(
    ("style", "least", "most"),
    [
        pytest.param(PromptStyle("full", "en"), 0.10, 0.14, id="full"),
        pytest.param(PromptStyle("full", "es"), 1.0, 1.0, id="full in Spanish"),
        pytest.param(PromptStyle("compact", "en"), 0.0, 0.0, id="compact has no words"),
    ],
)
def test_a_tenth_of_the_prompts_is_spanish(style: PromptStyle, least: float, most: float) -> None:
    langs = [style.draw_language(f"pair-{n}").lang for n in range(2_000)]
    assert least <= langs.count("es") / len(langs) <= most
    assert langs == [style.draw_language(f"pair-{n}").lang for n in range(2_000)]


def of_rule(finding: Finding, lang: Lang, cell: str = "") -> Finding:
    rule = next(iter(rules.catalogue().values()))
    return msgspec.structs.replace(
        finding,
        rule_id=rule.id,
        message=rule.message.get(lang) + cell,
        recommendation=rule.recommendation.get(lang),
    )


@pytest.mark.parametrize("count", [1, 7, 150])
def test_a_share_of_items_that_are_all_there_is_whole(count: int) -> None:
    keys = [f"pair-{n}" for n in range(count)]
    styles = PromptStyle("full", "en").draw_languages(keys)
    assert sum(style.lang == "es" for style in styles.values()) == math.ceil(SPANISH_SHARE * count)
    assert styles == PromptStyle("full", "en").draw_languages(keys[::-1])
    for style in (PromptStyle("full", "es"), PromptStyle("compact", "en")):
        assert set(style.draw_languages(keys).values()) == {style}


@pytest.mark.parametrize("before", ["en", "es"])
@pytest.mark.parametrize("after", ["en", "es"])
def test_a_finding_is_translated_by_its_rule(
    finding: Callable[..., Finding], before: Lang, after: Lang
) -> None:
    translated = translate(of_rule(finding(), before, " (cell 3)"), after)
    assert translated == of_rule(finding(), after, " (cell 3)")


def test_what_our_rules_did_not_write_stays(finding: Callable[..., Finding]) -> None:
    foreign = msgspec.structs.replace(finding(), rule_id="B608", tool="bandit")
    assert translate(foreign, "es") == foreign
    changed = msgspec.structs.replace(of_rule(finding(), "en"), message="Said by a person.")
    assert translate(changed, "es").message == "Said by a person."


def test_a_spanish_row_is_spanish_throughout(verdict: Callable[..., HarvestedVerdict]) -> None:
    verdicts = []
    for number in range(40):
        judged = verdict(f"def f{number}(q):\n    return db.execute(q)\n", finding=f"finding-{number}")
        verdicts.append(msgspec.structs.replace(judged, finding=of_rule(judged.finding, "en")))
    rows = make_reviewed_rows(verdicts, PromptStyle("full", "en")).rows
    spanish = [row for row in rows if row.lang == "es"]
    assert 0 < len(spanish) < 3 * SPANISH_SHARE * len(rows)
    rule = next(iter(rules.catalogue().values()))
    for row in rows:
        system, user, answer = (message.content for message in row.messages)
        words = (rule.message.get(row.lang), rule.recommendation.get(row.lang))
        assert words[0] in user
        assert words[1] in answer
        assert ("Clasificas" in system) == ("Regla" in user) == (row.lang == "es")
        assert triage.read_prompt(row.messages, row.prompt_version, row.lang).lang == row.lang
