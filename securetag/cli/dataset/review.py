"""`securetag dataset review`: rows to Argilla, answers back, what the next build makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securetag.cli.dataset.releases import Name, release_folder
from securetag.cli.output import Json, emit, reported, show

app = typer.Typer(help="People's reviews of examples.", no_args_is_help=True)


@app.command("export")
@reported
def export_rows(
    name: Name,
    out: Annotated[Path, typer.Option(help="A folder that doesn't exist yet.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows to review, from every source and label.")] = 200,
    overlap: Annotated[int, typer.Option(min=1, help="People who review each row.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
) -> None:
    """Write rows as a dataset that Argilla loads.

    There: `argilla.Dataset.from_disk(FOLDER)`.
    """
    from securetag.pipeline.review import export_for_review
    from securetag.settings import get_settings

    number = export_for_review(
        release_folder(name, get_settings()), out, rows=rows, overlap=overlap, seed=seed
    )
    typer.echo(f"{number} rows for {overlap} reviewers each: {out}")


@app.command("import")
@reported
def import_answers(
    path: Annotated[Path, typer.Argument(help="What Argilla exported: its folder, or records.json.")],
    as_json: Json = False,
) -> None:
    """Record the answers that reviewers gave.

    The next build leaves out what they rejected or disagree on.
    """
    from securetag.pipeline.review import import_argilla
    from securetag.settings import get_settings

    settings = get_settings()
    new = import_argilla(path, settings)
    if as_json:
        emit({"new": len(new)})
    else:
        typer.echo(f"{len(new)} new answers in {settings.data / 'reviews.jsonl'}")


@app.command("status")
@reported
def status(as_json: Json = False) -> None:
    """Show recorded reviews, and how far reviewers agree."""
    from collections import Counter

    import msgspec

    from securetag.datasets.reviews.review import decide, latest_reviews, measure_agreement
    from securetag.pipeline.review import read_reviews
    from securetag.settings import get_settings

    reviews = read_reviews(get_settings())
    agreed = msgspec.to_builtins(measure_agreement(reviews))
    decided = dict(Counter(decide(reviews).values()))
    reviewers = dict(Counter(review.reviewer for review in latest_reviews(reviews)))
    if as_json:
        emit({"decisions": decided, "reviewers": reviewers, "agreement": agreed})
        return
    show(["decision", "examples"], decided.items())
    show(["reviewer", "reviews"], reviewers.items())
    show(["agreement", ""], agreed.items())
