"""`securetag dataset teach`: let a teacher model write questions and answers about Records."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show


@reported
def teach(
    source: Annotated[list[str] | None, typer.Option(help="Only Records of this source.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most sections to ask about in this run.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Most that this run may cost.")] = None,
    as_json: Json = False,
) -> None:
    """Ask the teacher about every section that lacks its answer.

    The next build takes part of what it says. Answers are kept, so that a run that was stopped goes on
    where it was.
    """
    import msgspec

    from securetag.pipeline.teach import teach as run
    from securetag.settings import get_settings

    settings = get_settings()
    if budget is not None:
        settings = settings.model_copy(
            update={"teacher": settings.teacher.model_copy(update={"budget": budget})}
        )
    report = run(settings, sources=source, limit=limit, progress=None if as_json else typer.echo)
    if as_json:
        emit(msgspec.to_builtins(report))
    else:
        show(["", ""], msgspec.to_builtins(report).items())
        if not report.may_enter:
            typer.secho(f"No release may hold rows under {report.licence}.", fg="yellow", err=True)
    if report.failed:
        raise typer.Exit(1)
