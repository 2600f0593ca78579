"""`securetag dataset realism`: a release's triage code beside real code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.dataset.releases import Name, release_folder
from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.datasets.realism import Transfer


@reported
def realism(
    name: Name,
    against: Annotated[Path, typer.Option(exists=True, file_okay=False, help="A folder of real code.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Labels of findings in it: CSV of file, line, label and cwe."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask this model about the labeled findings: a GGUF file, a registered model, or a name that "
            "the endpoint of SECURETAG_TRIAGE__BACKEND serves. May be repeated."
        ),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the distributions to this PNG file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the code of a release's triage rows with real code.

    With --labels, word counts learned on the release are scored on real findings, and with --model served
    models beside them.
    """
    import msgspec

    from securetag.datasets.realism import draw_realism, list_spread_rows
    from securetag.pipeline.realism import measure_realism
    from securetag.settings import get_settings

    settings = get_settings()
    report = measure_realism(
        release_folder(name, settings), against, labels, models=model or (), settings=settings
    )
    if picture is not None:
        picture.write_bytes(draw_realism(report.release_code, report.real_code))
    if as_json:
        emit(
            {
                "realism": msgspec.to_builtins(report.realism),
                "word_counts": msgspec.to_builtins(report.transfer),
                "models": msgspec.to_builtins(report.models),
            }
        )
        return
    show(
        ["10 %, median, 90 %", "release", "any", "real", "any"],
        list_spread_rows(report.realism),
        title=f"{report.realism.rows:,} snippets of the release, {report.realism.real:,} real functions",
    )
    typer.echo(
        f"Word counts tell release from real code with an AUC of {report.realism.separability:.3f} "
        "(.5: not at all)."
    )
    if report.transfer is not None:
        _show_transfer("word counts learned on the release", report.transfer)
    elif labels is not None:
        typer.echo("The release has too few labeled rows in train to learn from.")
    for model_name, scored in report.models.items():
        _show_transfer(f"model {model_name}", scored.transfer)
        if scored.unanswered:
            typer.echo(f"{scored.unanswered} findings without a usable answer count as kept.")
        if not scored.has_logprobs:
            typer.echo("The endpoint gives no log-probabilities: scores are the verdicts alone.")


def _show_transfer(title: str, transfer: Transfer) -> None:
    removed = [
        [f"false positives removed with {lost} of true positives lost", f"{share:.1%}"]
        for lost, share in transfer.removed.items()
    ]
    show(
        ["", ""],
        [
            ["true positives", transfer.true_positives],
            ["false positives", transfer.false_positives],
            ["AUC", f"{transfer.auc:.3f} ({transfer.low:.3f} to {transfer.high:.3f})"],
            *removed,
        ],
        title=title,
    )
