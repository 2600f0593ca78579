"""The api for commands about findings, and the occurrence that somebody decides on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

if TYPE_CHECKING:
    from securetag.client.api import ApiClient
    from securetag.wire.api import FindingDetail

# As in `wire.feedback`, which `--help` doesn't wait for; a test compares them.
Decision = Literal["true_positive", "false_positive", "needs_review"]
ApiUrl = Annotated[str | None, typer.Option("--api", envvar="SECURETAG_API_URL", help="Address of the api.")]
ApiKey = Annotated[str | None, typer.Option("--key", envvar="SECURETAG_API_KEY", help="API key.")]
FindingId = Annotated[UUID, typer.Argument(metavar="FINDING", help="Id of the finding.")]
Occurrence = Annotated[
    UUID | None,
    typer.Option(
        help="The occurrence that you have looked at; without it the newest is shown, to be confirmed."
    ),
]
#: What to do where a newer scan has seen the finding.
NEWER = "Look at it again with `securetag findings show`, then name its occurrence with --occurrence."


@contextmanager
def connected(api: str | None, key: str | None) -> Iterator[ApiClient]:
    """Connect to the api that is given, or to that of this home."""
    from securetag.cli.client import connect
    from securetag.client.local import find_api

    url, secret = find_api(api, key)
    with connect(url, secret, hints={409: NEWER, 404: "`securetag findings list` names yours."}) as client:
        yield client


def choose_occurrence(finding: FindingDetail, named: UUID | None) -> UUID:
    """Return the occurrence that a decision is about: the named one, or the newest, which is shown first.

    Raises InputError where nobody can confirm it.
    """
    from securetag.cli.scan.details import describe_finding
    from securetag.errors import InputError

    if named is not None:
        return named
    at = finding.occurrence
    if not sys.stdin.isatty():
        raise InputError(
            "nobody says which code the decision is about",
            hint="Name the occurrence that you have looked at: `securetag findings show` prints it "
            f"(the newest is --occurrence {at.id}).",
        )
    typer.echo(describe_finding(1, finding))
    typer.confirm("Is it about this code?", abort=True)
    return at.id
