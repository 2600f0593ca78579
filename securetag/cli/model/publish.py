"""`securetag publish` and `securetag model rollback`: what an alias means."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.model.registry import model_named
from securetag.cli.output import reported


@reported
def publish(
    model: Annotated[str, typer.Argument(help="The beginning of an evaluated model's id.")],
    name: Annotated[str, typer.Option(help="The alias that workers ask for.")] = "securetag-v1",
    public: Annotated[
        bool, typer.Option("--public", help="The model will be distributed under this name.")
    ] = False,
) -> None:
    """Publish an evaluated model under an alias. Refused unless its gate passed.

    A public name, and one with a namespace (`acme/…`), must be one that the base's license allows.
    """
    from securetag.pipeline.evaluate import latest_evaluation
    from securetag.pipeline.publish import publish as run
    from securetag.settings import get_settings

    settings = get_settings()
    entry = model_named(model)
    evaluation = latest_evaluation(entry.model_id, settings)
    run(evaluation, name, settings, public=public, by=_find_user(), progress=_Percent())
    typer.echo(f"{name} is {entry.model_id[:12]} now. `securetag model rollback {name}` goes back.")


def _find_user() -> str:
    """Return who runs this; a container may run as a user without a name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


class _Percent:
    """Prints every tenth part of a step that is done."""

    def __init__(self) -> None:
        self._printed: tuple[str, int] = ("", -1)

    def __call__(self, name: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if name != self._printed[0] or tenth > self._printed[1]:
            self._printed = (name, tenth)
            typer.echo(f"{name}: {10 * tenth} %")


@reported
def rollback(alias: Annotated[str, typer.Argument()] = "securetag-v1") -> None:
    """Let an alias mean what it meant before. A model that a withdrawal concerns is passed over."""
    from securetag.pipeline.publish import rollback as run
    from securetag.settings import get_settings

    entry = run(alias, get_settings())
    typer.echo(f"{alias} is {entry.model_id[:12]} again")
