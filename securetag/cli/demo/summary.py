"""What the demo says: a line as things happen, and a summary that a newcomer understands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from securetag.cli.output import show

if TYPE_CHECKING:
    from securetag.cli.demo.outcome import ScanOutcome
    from securetag.cli.demo.report import Report, Stage
    from securetag.settings import Settings

_began = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress, with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _began), 60)
    typer.echo(f"{minutes:3d}:{seconds:02d}  {text}")


def conclude(report: Report, settings: Settings, before: ScanOutcome, after: ScanOutcome) -> None:
    """Print the whole story once more, in figures."""
    stages = {stage.stage: stage for stage in report.stages}
    typer.echo("")
    show(
        ["stage", "", "seconds", "CPU-s"],
        [[s.stage, "✓" if s.ok else "✗", f"{s.wall_s:.1f}", f"{s.cpu_s:.1f}"] for s in report.stages],
        title=f"Securetag demo, size {report.size}",
    )
    _scans(before, after)
    _release(stages["release"])
    _figures(stages["evaluation, gate, publish"].facts, report)
    typer.echo("")
    typer.secho(
        "These figures prove that the machinery works. A model of 135 million parameters, "
        "trained for minutes, is no security expert.",
        bold=True,
    )
    typer.echo(
        f"\n{report.cpu_s:,.0f} CPU-seconds in {report.wall_s / 60:.1f} minutes, "
        f"peak memory {report.peak_mb:,.0f} MiB.\n"
        f"Report:    {settings.home / 'report.json'}\n"
        f"Release:   {stages['release'].facts['path']}/README.md\n"
        f"Pictures:  {stages['evaluation, gate, publish'].facts['folder']}\n"
        "Next:      `.venv/bin/securetag --demo up` shows this run in the Dagster UI; with `--demo` every\n"
        "           command works on what it has made. docs/demo.md says what to make of the figures."
    )


def _scans(before: ScanOutcome, after: ScanOutcome) -> None:
    typer.echo("")
    show(
        ["class", "vulnerable, found", "missed", "flagged though safe", "precision", "recall"],
        [
            [cwe, s.tp, s.fn, s.fp, _share(s.precision), _share(s.recall)]
            for cwe, s in sorted(before.accuracy.by_class.items())
        ]
        + [
            [
                "all",
                before.accuracy.total.tp,
                before.accuracy.total.fn,
                before.accuracy.total.fp,
                _share(before.accuracy.total.precision),
                _share(before.accuracy.total.recall),
            ]
        ],
        title="The scan against the ground truth (before triage)",
    )
    for row in before.accuracy.misses:
        typer.echo(f"missed: {row.id} {row.cwe} in {row.path} ({row.scope}): {row.why_en}")
    typer.echo("")
    first, second = before.triage(), after.triage()
    show(
        ["in truth", "the model says", "first scan", "second scan"],
        [
            [
                truth.replace("_", " "),
                decision.replace("_", " "),
                first[truth, decision],
                second[truth, decision],
            ]
            for truth, decision in sorted(first | second)
        ],
        title=f"Triage of High and Critical findings: {_alias(before)} first, {_alias(after)} second",
    )


def _release(stage: Stage) -> None:
    typer.echo("")
    typer.echo(f"Release {stage.facts['digest'][:12]} with {stage.facts['row_count']:,} rows")
    for name in ("splits", "tasks", "sources", "licences", "dropped"):
        typer.echo(f"  by {name}: {_inline(stage.facts.get(name, ''))}")


def _figures(facts: dict[str, Any], report: Report) -> None:
    typer.echo("")
    rows = [
        [
            suite,
            metric.replace("_", " "),
            cell["n"],
            _share(cell["base"]),
            _share(cell["candidate"]),
            f"{cell['low']:.2f} to {cell['high']:.2f}",
            f"{cell['p']:.3f}",
            _share(cell["majority"]),
        ]
        for suite, metrics in facts["figures"].items()
        for metric, cell in metrics.items()
        if suite == "held_out" or metric == "accuracy"
    ]
    show(
        ["held-out cases", "figure", "n", "base", "candidate", "95 %", "p", "majority class"],
        rows,
        title="Held-out figures, base against candidate in the same run",
    )
    typer.echo("")
    if report.published:
        typer.secho("Gate: passed. The candidate is published as securetag-v1.", fg="green")
    else:
        typer.secho(
            "Gate: rejected. The published model stays as it was; this is a legitimate end.", fg="yellow"
        )
    for reason in report.reasons:
        typer.echo(f"  {reason}")


def _alias(scan: ScanOutcome) -> str:
    return next(
        (item["verdict"]["alias"] or "nobody" for item in scan.items if item.get("verdict")), "nobody"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _inline(table: str) -> str:
    """Return `a 3, b 4` from a two-column Markdown table."""
    rows = [line.strip("| ").split(" | ") for line in str(table).splitlines()[2:]]
    return ", ".join(f"{row[0]} {row[1]}" for row in rows if len(row) == 2) or "none"
