"""`securetag triage`: ask a model about what any scanner reports, without service and database.

Exit codes: 0 every result has a verdict or a reason for none, 2 anything else, 130 and 143 for a signal.
"""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from securetag.cli.output import Json, emit, reported_with, show
from securetag.cli.scan.follow import FAILED, unexpected_errors
from securetag.cli.scan.options import Lang, Level

if TYPE_CHECKING:
    from securetag.records import Finding, Verdict
    from securetag.scanning.sarif.read import SarifReport, SarifResult
    from securetag.serving.client import ModelClient
    from securetag.settings import Settings

#: Bytes of a SARIF file that are read.
MAX_SARIF = 200 << 20

Backend = Literal["runtime", "ollama"]
_NO_MODEL = (
    "Name one: `--url URL --model NAME` for any OpenAI-compatible server (SECURETAG_TRIAGE__API_KEY is its "
    "key), `--backend ollama --model NAME` for Ollama (OLLAMA_HOST), or start the embedded one with "
    "`securetag model serve`. docs/triage.md has examples."
)


@partial(reported_with, exit_code=FAILED)
def triage(
    file: Annotated[
        Path, typer.Argument(help="SARIF 2.1.0 of any scanner.", exists=True, dir_okay=False, readable=True)
    ],
    source: Annotated[Path, typer.Option(help="The folder that was scanned.", exists=True, file_okay=False)],
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the SARIF again, with the verdicts in it.")
    ] = None,
    suppress: Annotated[
        bool, typer.Option("--suppress", help="Mark false positives as suppressed in --sarif.")
    ] = False,
    backend: Annotated[
        Backend | None, typer.Option(help="Kind of model server; SECURETAG_TRIAGE__BACKEND by default.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server, with or without /v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name at its server.")] = None,
    profile: Annotated[
        Literal["full", "compact"] | None,
        typer.Option(help="Form of the question: compact for small models, full for those of 7B and more."),
    ] = None,
    min_severity: Annotated[Level, typer.Option(help="Ask about findings from this severity on.")] = "info",
    budget: Annotated[float, typer.Option(help="Seconds for all questions together.")] = 600.0,
    lang: Annotated[Lang | None, typer.Option(help="Language of the model's words.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a model which results of a scanner are real. Nothing is sent anywhere but to that model.

    The code around each result is read from --source. Results with a suppression aren't asked about.
    """
    from securetag.scanning.sarif.annotate import annotate_sarif
    from securetag.settings import get_settings
    from securetag.system.extras import require_packages
    from securetag.system.files import write_atomic

    require_packages(["ollama"])
    settings = _configure(get_settings(), backend, url, model, profile, min_severity, budget, lang)
    with unexpected_errors():
        content, report = _read(file, source)
        findings, verdicts, signal = _ask(report.results, source, settings, quiet=as_json)
        if sarif is not None:
            write_atomic(sarif, annotate_sarif(content, report.results, verdicts, suppress=suppress))
        _print(report, findings, verdicts, as_json=as_json)
        if sarif is not None and not as_json:
            typer.echo(f"wrote {sarif}")
        if signal is not None:
            raise typer.Exit(signal)


def _configure(
    settings: Settings,
    backend: Backend | None,
    url: str | None,
    model: str | None,
    profile: Literal["full", "compact"] | None,
    min_severity: Level,
    budget: float,
    lang: Lang | None,
) -> Settings:
    """Return the settings with what the options say instead."""
    options = {
        "backend": backend or ("runtime" if url else None),
        "url": url,
        "aliases": [model] if model else None,
        "profile": profile,
        "lang": lang,
    }
    given = {name: value for name, value in options.items() if value is not None}
    limits = {"min_severity": min_severity, "budget_s": budget}
    return settings.model_copy(update={"triage": settings.triage.model_copy(update={**given, **limits})})


def _read(file: Path, source: Path) -> tuple[bytes, SarifReport]:
    """Return the file's bytes and what it reports. Raises InputError, LimitError."""
    from securetag.errors import LimitError
    from securetag.scanning.sarif.read import read_sarif

    if file.stat().st_size > MAX_SARIF:
        raise LimitError(
            f"{file} has more than {MAX_SARIF >> 20} MB", hint="Let the scanner write a file for each part."
        )
    content = file.read_bytes()
    return content, read_sarif(content, project=source)


def _ask(
    results: list[SarifResult], source: Path, settings: Settings, *, quiet: bool
) -> tuple[list[Finding], list[Verdict | None], int | None]:
    """Return findings and verdicts in the results' order, and the exit code of a signal that came."""
    from securetag.cli.triage_signals import stop_on_signals
    from securetag.scanning.sarif.findings import rank_each, to_findings
    from securetag.serving.client import connect
    from securetag.worker.gates import PublishedGates
    from securetag.worker.triager import Triager

    findings = rank_each(to_findings(results, source), source)
    wanted = [index for index, result in enumerate(results) if not result.suppressed]
    verdicts: list[Verdict | None] = [None] * len(results)
    stop = threading.Event()
    client = connect(settings)
    try:
        _check_model(client)
        with stop_on_signals(stop) as received:
            published = PublishedGates(settings)
            run = Triager(
                client,
                settings.triage,
                lang=settings.triage.lang,
                find_gate=published.find,
                find_calibration=published.find_calibration,
            ).run(
                [findings[index] for index in wanted],
                budget_s=settings.triage.budget_s,
                stop=stop,
                progress=None if quiet else _show_progress,
            )
    finally:
        client.close()
    for index, verdict in zip(wanted, run.verdicts, strict=True):
        verdicts[index] = verdict
    return findings, verdicts, received.exit_code


def _check_model(client: ModelClient) -> None:
    """Raise ModelUnavailableError with what to do, where no model answers."""
    from securetag.errors import ModelUnavailableError

    try:
        info = client.resolve()
    except ModelUnavailableError as error:
        error.hint = _NO_MODEL
        raise
    typer.echo(f"model {info.alias} ({info.model_id})", err=True)


def _show_progress(done: int, total: int) -> None:
    typer.echo(f"triage {done + 1}/{total}", err=True)


def _print(
    report: SarifReport, findings: list[Finding], verdicts: list[Verdict | None], *, as_json: bool
) -> None:
    import msgspec

    counts = Counter(verdict.decision.value if verdict else "not asked" for verdict in verdicts)
    pairs = sorted(zip(findings, verdicts, strict=True), key=lambda pair: -pair[0].rank)
    if as_json:
        emit(
            {
                "results": [
                    {"finding": msgspec.to_builtins(finding), "verdict": msgspec.to_builtins(verdict)}
                    for finding, verdict in pairs
                ],
                "by_verdict": counts,
                "left_out": report.left_out,
                "tools": report.tools,
            }
        )
        return
    rows = [[*_describe(verdict), f"{item.path}:{item.start_line}", item.rule_id] for item, verdict in pairs]
    show(["verdict", "p(false positive)", "where", "rule"], rows, title=f"{len(findings)} results")
    typer.echo(", ".join(f"{name} {count}" for name, count in counts.most_common()) or "no results")
    reasons = Counter(verdict.reason for verdict in verdicts if verdict and verdict.reason)
    for reason, count in reasons.most_common(5):
        typer.echo(f"needs_review, {count} times: {reason}")
    for why, count in report.left_out.most_common():
        typer.echo(f"left out, {count} times: {why}")


def _describe(verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return "not asked", "–"
    chance = verdict.p_false_positive
    return verdict.decision.value, "–" if chance is None else f"{chance:.2f}"
