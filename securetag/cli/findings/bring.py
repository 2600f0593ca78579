"""`securetag findings import`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from securetag.cli.findings.connection import ApiKey, ApiUrl
from securetag.cli.output import Json, reported_with
from securetag.cli.scan.follow import FAILED, unexpected_errors
from securetag.cli.scan.options import Lang

if TYPE_CHECKING:
    from securetag.cli.scan.packing import Packed
    from securetag.client.api import ApiClient
    from securetag.wire.imports import ImportAccepted, ImportParams


@partial(reported_with, exit_code=FAILED)
def import_findings(
    file: Annotated[
        Path,
        typer.Argument(
            help="SARIF 2.1.0 of Semgrep, CodeQL, Bandit, njsscan, gosec, ESLint or another tool.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            help="The folder that the tool has read. With it the model is asked.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Name of the project; that of --source's folder by default.")
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(help="The branch that was read; git's by default, else the project's default."),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(help="The commit that was read; git's by default, if nothing is changed.")
    ] = None,
    partial_report: Annotated[
        bool,
        typer.Option("--partial", help="The file is about a part of the project: it says nothing is fixed."),
    ] = False,
    lang: Annotated[Lang | None, typer.Option(help="Language of the model's words.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the import.")] = 900.0,
    details: Annotated[
        bool, typer.Option("--details", help="Print each finding's message, code, evidence and advice too.")
    ] = False,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Import what another tool has reported, and wait until it is stored.

    Nothing that other tools report is changed; what this tool reported before and doesn't any more is fixed.
    """
    from securetag.cli.client import connect
    from securetag.cli.scan.follow import FollowedScan
    from securetag.cli.scan.git import Checkout, Git
    from securetag.cli.scan.report import print_json, print_table
    from securetag.client.local import find_api
    from securetag.errors import SecuretagError
    from securetag.wire.imports import ImportParams

    name = project or (source.resolve().name if source is not None else "")
    if not name:
        raise typer.BadParameter("needed without --source", param_hint="--project")
    checkout = Git(source.resolve()).read_checkout() if source is not None else Checkout()
    params = ImportParams(
        lang=lang,
        branch=branch or checkout.branch,
        commit=commit or checkout.commit,
        base_commit=checkout.base_commit,
        partial=partial_report,
    )
    url, secret = find_api(api, key)
    with unexpected_errors(), connect(url, secret) as client:
        sent = _Import(client, file, source, name, params)
        ended, findings = FollowedScan(client, as_json).follow(sent.start, timeout)
        if ended.state != "completed":
            reason = ended.reason or "no reason was given"
            raise SecuretagError(f"import {ended.task_id} ended as {ended.state}: {reason}")
        if as_json:
            print_json(ended, findings, sent.packed, below_min_confidence=0)
            return
        print_table(ended, findings, sent.packed, details=details)
        assert sent.accepted is not None, "it has ended"
        for why, count in sent.accepted.left_out.items():
            typer.echo(f"left out, {count} times: {why}")


class _Import:
    """A SARIF file that becomes findings."""

    def __init__(
        self, client: ApiClient, file: Path, source: Path | None, project: str, params: ImportParams
    ) -> None:
        self._client, self._file, self._source = client, file, source
        self._project, self._params = project, params
        #: What of the folder was sent.
        self.packed: Packed | None = None
        self.accepted: ImportAccepted | None = None

    def start(self) -> UUID:
        """Send the file, and the folder where there is one; return the import's id."""
        import tempfile

        from securetag.cli.scan.packing import pack

        with tempfile.TemporaryDirectory() as temporary:
            archive = None
            if self._source is not None:
                archive = Path(temporary) / "source.zip"
                self.packed = pack(self._source, archive)
                left_out = {
                    "not_uploaded": self.packed.count_by_reason(),
                    "not_uploaded_files": self.packed.named,
                }
                self._params = self._params.model_copy(update=left_out)
            self.accepted = self._client.import_findings(
                self._file, project=self._project, source=archive, params=self._params
            )
        return self.accepted.task_id
