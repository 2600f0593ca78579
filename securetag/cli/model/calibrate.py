"""`securetag model calibrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.model.registry import model_named
from securetag.cli.output import Json, emit, reported


@reported
def calibrate(
    model: Annotated[str, typer.Argument(help="Alias, or the beginning of a model's id.")],
    dataset: Annotated[str, typer.Option(help="The release whose validation rows are asked.")],
    max_lost: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of true positives that may be dismissed.")
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Fit the probability and the threshold with which a model's verdicts are decided."""
    import msgspec

    from securetag.cli.dataset.releases import release_folder
    from securetag.pipeline.calibrate import calibrate as run
    from securetag.settings import get_settings

    settings = get_settings()
    calibration = run(
        model_named(model).model_id, release_folder(dataset, settings), settings, max_lost=max_lost
    )
    if as_json:
        emit(msgspec.to_builtins(calibration) | {"id": calibration.id})
        return
    bound = calibration.bound
    typer.echo(f"calibration {calibration.id[:12]} ({calibration.method}, {calibration.rows} rows)")
    if calibration.threshold is None:
        typer.echo(f"no threshold: {bound.of} true positives are too few for {bound.target:.1%}")
    else:
        typer.echo(
            f"dismissed from {calibration.threshold:.3f} on: {bound.lost} of {bound.of} true positives lost, "
            f"at most {bound.upper:.1%} (one-sided 95 %)"
        )
    typer.echo(f"measured on {bound.population}; it says nothing of other code")
