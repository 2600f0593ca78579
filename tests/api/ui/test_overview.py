"""The overview: what it counts, what it calls the population, and what it says where there is nothing."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from api_in_process import Api
from hypothesis import given
from hypothesis import strategies as st
from rows import make_finding
from stored_scans import store_scan
from ui_browser import signed_in

from securetag.api.findings.statistics import MAX_POINTS, Series, add_up
from securetag.api.ui.chart import HEIGHT, plot, round_up
from securetag.records import SEVERITIES, Decision

pytestmark = pytest.mark.anyio

SHARE = re.compile(r"<b>(\d+) %</b> <span class=\"muted\">(\d+) of (\d+)<br>95 % interval: (\d+) to (\d+) %")


async def test_an_empty_overview_says_what_to_do_next(api: Api) -> None:
    tenant = await api.tenant()
    browser = await signed_in(api, tenant.key)
    text = await browser.open("/ui/")
    assert "Nothing has been scanned yet" in text
    assert "securetag scan PATH" in text
    await store_scan(api, tenant, verdict=None)
    text = await browser.open("/ui/")
    for hint in ("No scan of a default branch", "Review findings", "No model has judged", "consent grant"):
        assert hint in text, hint


async def test_what_people_judged_says_what_the_model_is_worth(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    judged = {
        Decision.FALSE_POSITIVE: {"a": "true_positive", "b": "false_positive", "c": "false_positive"},
        Decision.TRUE_POSITIVE: {"d": "true_positive", "e": "false_positive", "f": "needs_review"},
        Decision.NEEDS_REVIEW: {"g": "true_positive", "h": "false_positive"},
    }
    for decision, verdicts in judged.items():
        await store_scan(
            api,
            tenant,
            *(make_finding(name, path=f"{name}.py") for name in verdicts),
            verdict=decision,
            branch=decision.value,
        )
    items = (await tenant.client.get("/findings", params={"state": "any"})).json()["items"]
    people = {f"{name}.py": verdict for verdicts in judged.values() for name, verdict in verdicts.items()}
    for item in items:
        at = item["occurrence"]
        body = {"occurrence_id": at["id"], "verdict": people[at["path"]], "saw_model": at["path"] == "a.py"}
        await tenant.client.post(f"/findings/{item['id']}/feedback", json=body)
        # A script's verdict is no review.
        await tenant.client.post(f"/findings/{item['id']}/feedback", json={**body, "source": "script"})
    text = await (await signed_in(api, tenant.key)).open("/ui/")
    shares = [tuple(map(int, match)) for match in SHARE.findall(text)]
    # Blind first: of d and g none was removed; of b, c, e and h two were. Then what the person had seen: a.
    assert shares == [(100, 2, 2, 34, 100), (50, 2, 4, 15, 85), (0, 0, 1, 0, 79)]
    assert "none reviewed" in text
    assert "Population: your findings that a person has judged" in text
    assert "securetag-v1" in text
    assert "false alarms removed" not in (await (await signed_in(api, other.key)).open("/ui/")).lower()


async def test_the_overview_counts_what_is_in_the_code(api: Api) -> None:
    tenant = await api.tenant()
    findings = [make_finding(str(i), path=f"{i}.py", severity=SEVERITIES[i % 5]) for i in range(10)]
    await store_scan(api, tenant, *findings, branch="main")
    await store_scan(api, tenant, *findings[:4], branch="main")
    browser = await signed_in(api, tenant.key)
    text = await browser.open("/ui/?lang=es")
    assert "Resumen" in text
    assert re.findall(r"<b[^>]*>(\d+)</b>", text)[:6] == ["4", "1", "1", "1", "1", "4"]
    assert re.search(r'<path class="area high" d="M[\d., L]+Z">', text)
    table = re.findall(r'<td class="amount">(\d+)</td>', text)
    assert table[:4] == ["1", "1", "1", "1"], "today"


async def test_consents_and_erasures_are_shown_with_what_they_touched(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, make_finding())
    browser = await signed_in(api, tenant.key)
    await tenant.client.put("/consent", json={"granted": True})
    assert "Consent granted by test" in await browser.open("/ui/")
    await tenant.client.post("/erasure", json={})
    text = await browser.open("/ui/")
    assert "Consent withdrawn by test" in text
    assert "not worked off yet" in text
    receipt = '{"harvest_rows": 3, "releases": [{"examples": 2}, {"examples": 5}], "models": [{}]}'
    api.query(
        "UPDATE securetag.erasure_request SET completed_at = now(), detail = %s::jsonb"
        " WHERE tenant_id = %s RETURNING id",
        receipt,
        tenant.id,
    )
    text = await browser.open("/ui/")
    assert "3 verdicts left the harvest; 2 releases with 7 examples and 1 models are marked." in text


days = st.dates(date(2025, 1, 1), date(2027, 1, 1))


@given(
    st.dictionaries(days, st.dictionaries(st.sampled_from(SEVERITIES), st.integers(0, 9)), min_size=1), days
)
def test_a_series_ends_today_with_everything(changes: dict[date, dict[str, int]], today: date) -> None:
    series = add_up(changes, today)
    assert 2 <= len(series.days) <= MAX_POINTS
    assert series.days[-1] == max(today, *changes)
    assert len({later - earlier for earlier, later in zip(series.days, series.days[1:], strict=False)}) == 1
    for severity, counts in series.by_severity.items():
        assert counts[-1] == sum(change.get(severity, 0) for change in changes.values())
        assert counts == sorted(counts), "nothing was fixed"
    numbers = [float(number) for area in plot(series).areas for number in re.findall(r",([\d.]+)", area.path)]
    assert all(0 <= number <= HEIGHT for number in numbers)


@given(st.integers(0, 10**6))
def test_an_axis_is_high_enough_and_not_far_too_high(count: int) -> None:
    top = round_up(count)
    assert count <= top
    assert top % 4 == 0
    assert top <= max(4, 2 * count + 4)


def test_a_series_of_one_day_is_drawn() -> None:
    today = date(2026, 11, 28)
    chart = plot(Series([today - timedelta(days=1), today], {"high": [0, 3]}))
    assert [area.name for area in chart.areas] == ["high"]
