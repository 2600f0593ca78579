"""The summary of a demo, in tables that a newcomer understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from securetag.cli.demo.shop import list_held_out_files
from securetag.cli.model.dismissals import describe_worth, join_equal, show_dismissals
from securetag.cli.output import format_counts, format_p, show

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from securetag.cli.demo.outcome import ScanOutcome
    from securetag.cli.demo.result import DemoResult, LoopResult
    from securetag.evaluation.compare import Comparison
    from securetag.pipeline.evaluate import Evaluation
    from securetag.pipeline.external_suites import SuiteScores

#: Counts of a release's manifest → what they are called here.
COUNTS = {
    "splits": "splits",
    "by_task": "tasks",
    "by_source": "sources",
    "by_licence": "licences",
    "dropped": "dropped",
}


def print_summary(result: DemoResult) -> None:
    """Print stages, scans, release, figures and the gate's decision."""
    report = result.report
    typer.echo("")
    show(
        ["stage", "", "seconds", "CPU-s"],
        [[s.stage, "✓" if s.ok else "✗", f"{s.wall_s:.1f}", f"{s.cpu_s:.1f}"] for s in report.stages],
        title=f"Securetag demo, size {report.size}",
    )
    _print_scans(result.before, result.after)
    _print_release(result.loop)
    _print_figures(result.loop.evaluation.comparison)
    _print_decision(result.loop)
    _print_worth(result.loop.evaluation, result.after)
    _print_foreign(result.foreign, result.loop.evaluation)
    typer.echo("")
    typer.secho(
        "These figures prove that the machinery works. A model of 135 million parameters, "
        "trained for minutes, is no security expert.",
        bold=True,
    )
    typer.echo(
        f"\n{report.cpu_s:,.0f} CPU-seconds in {report.wall_s / 60:.1f} minutes, "
        f"peak memory {report.peak_mb:,.0f} MiB.\n"
        f"Report:    {result.home / 'report.json'}\n"
        f"Release:   {result.loop.release / 'README.md'}\n"
        f"Pictures:  {result.loop.evaluation.folder}\n"
        "Next:      `.venv/bin/securetag --demo up` shows this run in the Dagster UI; with `--demo` every\n"
        "           command works on what it has made. docs/demo.md says what to make of the figures."
    )


def _print_scans(before: ScanOutcome, after: ScanOutcome) -> None:
    typer.echo("")
    scores = [*sorted(before.accuracy.by_class.items()), ("all", before.accuracy.total)]
    show(
        ["class", "vulnerable, found", "missed", "flagged though safe", "precision", "recall"],
        [[name, s.tp, s.fn, s.fp, _share(s.precision), _share(s.recall)] for name, s in scores],
        title="The scan against the ground truth (before triage)",
    )
    for row in before.accuracy.misses:
        typer.echo(f"missed: {row.id} {row.cwe} in {row.path} ({row.scope}): {row.why_en}")
    typer.echo("")
    first, second = before.count_triage(), after.count_triage()
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


def _print_release(loop: LoopResult) -> None:
    typer.echo("")
    rows = sum(loop.manifest.counts["splits"].values())
    typer.echo(f"Release {loop.manifest.digest[:12]} with {rows:,} rows")
    for name, title in COUNTS.items():
        typer.echo(f"  by {title}: {format_counts(loop.manifest.counts.get(name, {}))}")


def _print_figures(comparison: Comparison) -> None:
    typer.echo("")
    rows = [
        [
            suite,
            metric.replace("_", " "),
            cell.n,
            _share(cell.base),
            _share(cell.candidate),
            f"{cell.low:.2f} to {cell.high:.2f}",
            format_p(cell.p),
            _share(cell.majority),
        ]
        for suite, compared in join_equal(comparison.suites).items()
        for metric, cell in compared.metrics.items()
        if suite.startswith("held_out") or metric == "accuracy"
    ]
    show(
        ["held-out cases", "figure", "n", "base", "candidate", "95 %", "p", "majority class"],
        rows,
        title="Held-out figures, base against candidate in the same run",
    )
    typer.echo("")
    show_dismissals(comparison)


def _print_decision(loop: LoopResult) -> None:
    typer.echo("")
    if loop.published:
        typer.secho("Gate: passed. The candidate is published as securetag-v1.", fg="green")
    else:
        typer.secho(
            "Gate: rejected. The published model stays as it was; this is a legitimate end.", fg="yellow"
        )
    for reason in loop.evaluation.decision.reasons:
        typer.echo(f"  {reason}")


def _print_worth(evaluation: Evaluation, after: ScanOutcome) -> None:
    """Print what the candidate's dismissals are worth, and as large beside it what they did to other code."""
    from securetag.evaluation.metrics import TRAINED

    typer.echo("")
    trained = evaluation.comparison.dismissals.get("candidate", {}).get(TRAINED)
    calibration = evaluation.calibration
    if trained is not None:
        words = f"Held-out code of the trained world{_describe_state(evaluation)}"
        typer.secho(f"{words}: {describe_worth(trained)}", bold=True)
    if calibration is not None:
        bound = calibration.bound
        at = (
            "none, so nothing is dismissed"
            if calibration.threshold is None
            else f"{calibration.threshold:.3f}"
        )
        typer.echo(
            f"  threshold: {at}; {bound.lost} of {bound.of} true positives lost, at most {bound.upper:.1%} "
            f"with 95 % confidence, on {bound.population}"
        )
    held_out = list_held_out_files()
    typer.secho(
        f"Other code, the {len(held_out)} files of Bodega of which no verdict was learned, by "
        f"{_alias(after)}: {describe_triage(after.count_triage(held_out))}",
        bold=True,
    )
    typer.echo(f"  All of Bodega, which was learned from in part: {describe_triage(after.count_triage())}")
    typer.echo(f"  Sizes of a demo: {describe_sizes(evaluation.comparison)}")


def _print_foreign(suites: Sequence[SuiteScores], evaluation: Evaluation) -> None:
    """Print what the candidate does to code that others wrote, with the labels that people gave it."""
    if not suites:
        typer.echo("  Code of others: not measured, since SECURETAG_EXTERNAL_SUITES names no suite.")
    for suite in suites:
        for figures in suite.dismissals.values():
            words = f"Code of others, the findings of suite {suite.name}{_describe_state(evaluation)}"
            typer.secho(f"{words}: {describe_worth(figures)}", bold=True)
        contenders = {
            "candidate": next(iter(suite.models.values())).transfer,
            "word counts": suite.word_counts,
        }
        aucs = [
            f"{name} {transfer.auc:.2f} ({transfer.low:.2f} to {transfer.high:.2f})"
            for name, transfer in contenders.items()
            if transfer is not None
        ]
        typer.echo(f"  AUC on suite {suite.name}: {', '.join(aucs)}; the base dismisses nothing")


def _describe_state(evaluation: Evaluation) -> str:
    return "" if evaluation.decision.passed else " (in shadow: rejected, it decides nothing)"


def describe_triage(counts: Counter[tuple[str, str]]) -> str:
    """Return the false alarms before and after triage, and the vulnerabilities lost."""
    true = sum(n for (truth, _), n in counts.items() if truth == "true_positive")
    false = counts.total() - true
    left = false - counts["false_positive", "false_positive"]
    lost = counts["true_positive", "false_positive"]
    return f"false alarms {false} → {left}, vulnerabilities lost {lost} of {true}"


def describe_sizes(comparison: Comparison) -> str:
    """Return what a demo measures on fewer cases than production, or not at all."""
    from securetag.pipeline.parity import DEMO_ROWS

    whole = comparison.suites["held_out"].metrics.get("answer_validity")
    injection = comparison.injection
    attacks = "no attacks by injected text"
    if injection is not None:
        kept = injection.cases - injection.dismissed_before
        attacks = (
            f"{injection.attacks} attacks by injected text on {kept} vulnerable functions that it kept, "
            f"{injection.flipped} of them with success ({injection.changed} changed the question, "
            f"{injection.critical_flipped} of {injection.critical} of critical severity)"
        )
    part, rows = comparison.base_questions
    return (
        f"{whole.n if whole else 0} whole answers; the base, which dismisses nothing, was asked about {part} "
        f"of {rows} rows; a published file is compared with its adapter on {DEMO_ROWS} rows, and on all "
        f"rows of production where a verdict differs; {attacks}; no "
        "question is asked again"
    )


def _alias(scan: ScanOutcome) -> str:
    return next((item.verdict.alias or "nobody" for item in scan.items if item.verdict), "nobody")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
