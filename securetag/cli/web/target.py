"""`securetag web target`: name a web application and prove that it is yours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, reported, show
from securetag.cli.scan.command import ApiKey, ApiUrl
from securetag.client.local import find_api

if TYPE_CHECKING:
    from securetag.client.api import ApiClient
    from securetag.wire.web import TargetAnswer

app = typer.Typer(help="Web applications that may be scanned.", no_args_is_help=True)
Url = Annotated[str, typer.Argument(help="An address of the application; scheme, host and port count.")]


@app.command("add")
@reported
def add_target(url: Url, api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """Name a web application, and learn what to publish to prove that it is yours."""
    from securetag.scanning.web.addresses import parse_target

    with _client(api, key, {409: "`securetag web target list` shows it."}) as client:
        target = client.add_target(parse_target(url).origin)
    if as_json:
        emit(target.model_dump(mode="json"))
        return
    proof = target.proof
    typer.echo(f"To prove that {target.origin} is yours, publish this text:\n  {proof.text}")
    if proof.dns_name is not None:
        typer.echo(f"as a TXT record of\n  {proof.dns_name}\nor", nl=False)
    typer.echo(f" as a line of the file\n  {proof.file_url}".lstrip(" " if proof.dns_name is None else ""))
    typer.echo(f"  next: securetag web target verify {target.origin}")


@app.command("verify")
@reported
def verify_target(url: Url, api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """Have the proof looked for, in DNS and in the file."""
    hint = "Publish the text that `securetag web target list` shows, then run the command again."
    with _client(api, key, {409: hint}) as client:
        target = client.verify_target(_find(client, url).id)
    if as_json:
        emit(target.model_dump(mode="json"))
    else:
        typer.echo(f"{target.origin} is yours, by {target.verified_by}, until {target.expires_at:%Y-%m-%d}")


@app.command("list")
@reported
def list_targets(api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """List the web applications, and what proves them."""
    with _client(api, key) as client:
        targets = list(client.targets())
    if as_json:
        emit([target.model_dump(mode="json") for target in targets])
        return
    rows = [
        [
            target.origin,
            f"until {target.expires_at:%Y-%m-%d}" if target.verified else "not proven",
            target.verified_by or "",
            target.proof.text,
        ]
        for target in targets
    ]
    show(["target", "yours", "by", "text of the proof"], rows)


@app.command("remove")
@reported
def remove_target(url: Url, api: ApiUrl = None, key: ApiKey = None) -> None:
    """Have a web application scanned no more; its findings stay."""
    with _client(api, key) as client:
        target = _find(client, url)
        client.remove_target(target.id)
    typer.echo(f"{target.origin} is no target any more")


@contextmanager
def _client(
    api: str | None, key: str | None, hints: dict[int | str, str] | None = None
) -> Iterator[ApiClient]:
    from securetag.cli.client import connect

    with connect(*find_api(api, key), hints=hints) as client:
        yield client


def _find(client: ApiClient, url: str) -> TargetAnswer:
    """Return the target that a URL belongs to. Raises NotFoundError, and InputError for no URL."""
    from securetag.errors import NotFoundError
    from securetag.scanning.web.addresses import parse_target

    origin = parse_target(url).origin
    for target in client.targets():
        if target.origin == origin:
            return target
    raise NotFoundError(f"{origin} is no target of yours", hint=f"securetag web target add {origin}")
