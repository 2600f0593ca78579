"""`securetag dataset push`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.dataset.releases import Name, release_folder
from securetag.cli.output import Json, emit, reported, show


@reported
def push(
    name: Name,
    repository: Annotated[str, typer.Argument(help="`<user or organization>/<name>` on the hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Push a release to a dataset repository of the Hugging Face hub, without its lineage.

    HF_TOKEN holds the token; a dry run needs none.
    """
    import msgspec

    from securetag.datasets.releases import hub
    from securetag.errors import AuthenticationError
    from securetag.settings import get_settings

    settings = get_settings()
    folder = release_folder(name, settings)
    planned = hub.plan_push(folder, repository, private=private)
    if not dry_run:
        if settings.hf_token is None:
            raise AuthenticationError(
                "no token for the hub", hint="Set HF_TOKEN, or look at what would be sent with --dry-run."
            )
        planned = hub.push(folder, planned, settings.hf_token.get_secret_value())
    if as_json:
        emit(msgspec.to_builtins(planned))
        return
    show(["file", "bytes"], planned.files.items(), title=planned.url or f"dry run: {repository}")
    typer.echo(f"Kept back: {', '.join(planned.kept_back)}")
