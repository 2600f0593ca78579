"""`securetag model score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.model.dismissals import describe_worth
from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.datasets.realism import Transfer


@reported
def score(
    dataset: Annotated[str, typer.Option(help="The release that word counts are learned on.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(help="GGUF files, registered models, or names that the endpoint of triage serves."),
    ] = None,
    suites: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="By default SECURETAG_EXTERNAL_SUITES."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score models on suites of labeled code beside word counts learned on a release."""
    import msgspec

    from securetag.cli.dataset.releases import release_folder
    from securetag.pipeline.external_suites import score_suites
    from securetag.settings import get_settings

    settings = get_settings()
    results = list(score_suites(release_folder(dataset, settings), models or [], settings, folder=suites))
    if as_json:
        emit(msgspec.to_builtins(results))
        return
    for suite in results:
        rows = [_describe("word counts", suite.word_counts)] if suite.word_counts is not None else []
        rows += [_describe(name, scored.transfer) for name, scored in suite.models.items()]
        show(
            ["", "true", "false", "AUC", "95 %", "removed, 0 % lost", "removed, 2 % lost"],
            rows,
            title=f"{suite.name}: {suite.missed} vulnerabilities not reported, {suite.unlabeled} findings "
            "without a label",
        )
        for name, figures in suite.dismissals.items():
            typer.echo(f"{name} at its own threshold: {describe_worth(figures)}")


def _describe(name: str, transfer: Transfer) -> list[str]:
    return [
        name,
        str(transfer.true_positives),
        str(transfer.false_positives),
        f"{transfer.auc:.3f}",
        f"{transfer.low:.3f} to {transfer.high:.3f}",
        *(f"{share:.1%}" for share in transfer.removed.values()),
    ]
