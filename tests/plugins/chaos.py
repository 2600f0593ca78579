"""The long fault runs as figures: `benchmarks/results/chaos.json`, in the form that the benchmarks write.

A chaos test says with `record_property("faults", [20, "kills of the worker"])` what it did.
"""

from __future__ import annotations

import json

import pytest

RESULTS = "benchmarks/results/chaos.json"


def figures(reports: list[pytest.TestReport]) -> list[dict[str, object]]:
    """One figure for each chaos test that ran: how many faults, and whether every promise held."""
    found: list[dict[str, object]] = []
    for report in reports:
        if report.when == "call" and "chaos" in report.keywords:
            value, unit = dict(report.user_properties).get("faults", [0, ""])
            name = report.nodeid.rsplit("::", 1)[-1].removeprefix("test_").replace("_", " ")
            found.append(
                {
                    "figure": name,
                    "value": value,
                    "unit": unit,
                    "peer": f"{report.duration:.0f} s",
                    "bar": "every promise holds",
                    "ok": report.passed,
                }
            )
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Writes and prints them; nothing where no chaos test ran."""
    stats = terminalreporter.stats
    found = figures([report for outcome in ("passed", "failed") for report in stats.get(outcome, [])])
    if found:
        path = terminalreporter.config.rootpath / RESULTS
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        for one in found:
            mark = "✓" if one["ok"] else "✗"
            terminalreporter.write_line(
                f"{mark} {one['figure']}: {one['value']} {one['unit']}, {one['peer']}"
            )
