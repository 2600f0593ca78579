"""`securetag scan`: upload a project, wait, print what was found.

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 anything else, 130 and 143 for a signal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from securetag.cli.output import Json, reported_with
from securetag.cli.scan.follow import (
    FAILED,
    FollowedScan,
    Lang,
    Level,
    MinConfidence,
    check_end,
    find_api,
    unexpected_errors,
)

if TYPE_CHECKING:
    from securetag.cli.scan.packing import Packed
    from securetag.client.api import ApiClient

FailOn = Annotated[
    Level | None,
    typer.Option(
        help="Exit 1 when a finding is at or above this severity, unless a person called it a false positive."
    ),
]

SarifFile = Annotated[
    Path | None, typer.Option("--sarif", metavar="FILE", help="Write the findings as SARIF 2.1.0.")
]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the findings as a table for spreadsheets.")
]
Details = Annotated[
    bool, typer.Option("--details", help="Print each finding's message, code, evidence and advice too.")
]

ApiUrl = Annotated[str | None, typer.Option("--api", envvar="SECURETAG_API_URL", help="Address of the api.")]
ApiKey = Annotated[str | None, typer.Option("--key", envvar="SECURETAG_API_KEY", help="API key.")]


@partial(reported_with, exit_code=FAILED)
def scan(
    path: Annotated[
        Path | None, typer.Argument(help="The folder of a project.", exists=True, file_okay=False)
    ] = None,
    resume: Annotated[
        UUID | None, typer.Option(metavar="TASK", help="Wait for a scan that was started before.")
    ] = None,
    fail_on: FailOn = None,
    project: Annotated[str | None, typer.Option(help="Name of the project; the folder's by default.")] = None,
    lang: Annotated[
        Lang | None, typer.Option(help="Language of the findings' texts; the worker's own by default.")
    ] = None,
    api: ApiUrl = None,
    key: ApiKey = None,
    min_confidence: Annotated[
        MinConfidence,
        typer.Option(help="Show findings from this confidence on; --fail-on counts these alone."),
    ] = "medium",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the scan.")] = 900.0,
    sarif: SarifFile = None,
    csv: CsvFile = None,
    details: Details = False,
    as_json: Json = False,
) -> None:
    """Scan a folder with a running Securetag.

    That of `securetag up`, or any other by --api. Ctrl-C cancels the scan.

    Findings below --min-confidence are counted in one line, and don't count for --fail-on.

    Exit code 0: scanned, nothing at or above --fail-on; 1: there is; 2: anything else (no service, wrong
    key, unfinished scan, nothing scanned); 130 or 143: ended by a signal.
    """
    from securetag.cli.client import connect
    from securetag.cli.scan.confidence import describe_hidden, select_confident
    from securetag.cli.scan.report import print_json, print_table

    if (path is None) == (resume is None):
        raise typer.BadParameter("give either the folder of a project or --resume TASK", param_hint="PATH")
    url, secret = find_api(api, key)
    with unexpected_errors(), connect(url, secret) as client:
        upload = _Upload(client, path.resolve(), project, lang) if path is not None else None
        scan = FollowedScan(client, as_json, str(resume) if resume is not None else None)
        ended, findings = scan.follow(upload.start if upload is not None else None, timeout)
        shown = select_confident(findings, min_confidence)
        hidden = len(findings) - len(shown)
        packed = upload.packed if upload is not None else None
        if as_json:
            print_json(ended, shown, packed, below_min_confidence=hidden)
        else:
            print_table(ended, shown, packed, details=details)
            if hidden:
                typer.echo(describe_hidden(hidden, min_confidence))
        if ended.state == "completed":
            _write(sarif, client.scan_sarif, ended.task_id, quiet=as_json)
            _write(csv, client.scan_csv, ended.task_id, quiet=as_json)
        check_end(ended, shown, fail_on)


def _write(file: Path | None, export: Callable[[UUID], bytes], task_id: UUID, *, quiet: bool) -> None:
    """Write what the api exports to a file that was asked for."""
    from securetag.system.files import write_atomic

    if file is not None:
        write_atomic(file, export(task_id))
        if not quiet:
            typer.echo(f"wrote {file}")


class _Upload:
    """A folder that becomes a scan."""

    def __init__(self, client: ApiClient, folder: Path, project: str | None, lang: Lang | None) -> None:
        self._client, self._folder, self._project, self._lang = client, folder, project, lang
        #: What of the folder was sent.
        self.packed: Packed | None = None

    def start(self) -> UUID:
        """Pack and upload the folder; return the scan's id."""
        import tempfile

        from securetag.cli.scan.packing import pack
        from securetag.wire.api import ScanParams

        with tempfile.TemporaryDirectory() as temporary:
            archive = Path(temporary) / f"{self._folder.name}.zip"
            self.packed = pack(self._folder, archive)
            params = ScanParams(lang=self._lang)
            project = self._project or self._folder.name
            return self._client.upload(archive, project=project, params=params).task_id
