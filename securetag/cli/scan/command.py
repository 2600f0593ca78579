"""`securetag scan`: upload a project, wait, print what was found.

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 anything else, 130 and 143 for a signal.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from uuid import UUID

import typer

from securetag.cli.output import Json, reported_with
from securetag.cli.scan.follow import FAILED, FollowedScan, check_end, unexpected_errors
from securetag.cli.scan.options import Lang, Level, MinConfidence
from securetag.client.local import find_api

if TYPE_CHECKING:
    from securetag.cli.scan.compare import Selection
    from securetag.cli.scan.git import Git
    from securetag.cli.scan.packing import Packed
    from securetag.client.api import ApiClient
    from securetag.wire.api import FindingAnswer, ScanDetail

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
MarkdownFile = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write a comment for a pull request.")
]
Details = Annotated[
    bool, typer.Option("--details", help="Print each finding's message, code, evidence and advice too.")
]

Branch = Annotated[
    str | None, typer.Option(help="The branch that is scanned; git's by default, else the project's default.")
]
Commit = Annotated[
    str | None, typer.Option(help="The commit that is scanned; git's by default, if nothing is changed.")
]
BaseCommit = Annotated[
    str | None, typer.Option(help="Where the branch began; by default where it left origin's default branch.")
]
BaselineRef = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="REF|SCAN",
        help="Count for --fail-on what the scan of this branch, commit or id didn't report.",
    ),
]
NewOnly = Annotated[
    bool,
    typer.Option(
        "--new-only",
        help="Show and count what the baseline didn't report; by default the scan of the base commit, else "
        "of the default branch.",
    ),
]
GitDiff = Annotated[
    str | None,
    typer.Option(
        "--git-diff", metavar="REF", help="Count for --fail-on only findings on lines that differ from REF."
    ),
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
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Leave files out, as in a .gitignore (`docs/`, `*.min.js`); repeatable."
        ),
    ] = None,
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
    branch: Branch = None,
    commit: Commit = None,
    base_commit: BaseCommit = None,
    baseline: BaselineRef = None,
    new_only: NewOnly = False,
    git_diff: GitDiff = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the scan.")] = 900.0,
    sarif: SarifFile = None,
    csv: CsvFile = None,
    markdown: MarkdownFile = None,
    details: Details = False,
    local: Annotated[
        bool, typer.Option("--local", help="Scan in this process: no service, no database, nothing kept.")
    ] = False,
    triage: Annotated[
        bool, typer.Option("--triage", help="With --local: ask the configured model about the findings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Scan a folder with a running Securetag, or with --local without any.

    That of `securetag up`, or any other by --api. Ctrl-C cancels the scan.

    Findings below --min-confidence are counted in one line, and don't count for --fail-on.

    Exit code 0: scanned, nothing at or above --fail-on; 1: there is; 2: anything else (no service, wrong
    key, unfinished scan, nothing scanned); 130 or 143: ended by a signal.
    """
    from securetag.cli.client import connect
    from securetag.cli.scan.compare import Selection
    from securetag.cli.scan.git import Git

    if (path is None) == (resume is None):
        raise typer.BadParameter("give either the folder of a project or --resume TASK", param_hint="PATH")
    git = Git(path.resolve()) if path is not None else None
    if git_diff is not None and git is None:
        raise typer.BadParameter("needs the folder of a project", param_hint="--git-diff")
    if local and (baseline is not None or new_only):
        raise typer.BadParameter(
            "--local keeps no scans to compare with; use --git-diff", param_hint="--baseline or --new-only"
        )
    changes = git.changed_lines(git_diff) if git is not None and git_diff is not None else None
    selection = Selection(git, baseline, new_only=new_only, git_diff=git_diff, changes=changes)
    if local:
        if git is None:
            raise typer.BadParameter("--local scans a folder", param_hint="--resume")
        with unexpected_errors():
            done = _LocalScan(git.folder, project, lang, timeout, exclude or [], triage=triage, quiet=as_json)
            _finish(
                done,
                selection,
                min_confidence,
                fail_on,
                sarif,
                csv,
                markdown,
                details=details,
                as_json=as_json,
            )
        return
    url, secret = find_api(api, key)
    with unexpected_errors(), connect(url, secret) as client:
        given = (branch, commit, base_commit)
        upload = _Upload(client, git, project, lang, exclude or [], given) if git is not None else None
        scan = FollowedScan(client, as_json, min_confidence, str(resume) if resume is not None else None)
        ended, findings = scan.follow(upload.start if upload is not None else None, timeout)
        selection.load_baseline(client, ended)
        result = _StoredScan(ended, findings, upload.packed if upload is not None else None, client)
        _finish(
            result, selection, min_confidence, fail_on, sarif, csv, markdown, details=details, as_json=as_json
        )


class _Scan(Protocol):
    """A scan that has ended, wherever it ran."""

    ended: ScanDetail
    findings: list[FindingAnswer]
    packed: Packed | None

    def to_sarif(self) -> bytes: ...

    def to_csv(self) -> bytes: ...


class _StoredScan:
    """A scan of a service."""

    def __init__(
        self, ended: ScanDetail, findings: list[FindingAnswer], packed: Packed | None, client: ApiClient
    ) -> None:
        self.ended, self.findings, self.packed, self._client = ended, findings, packed, client

    def to_sarif(self) -> bytes:
        return self._client.scan_sarif(self.ended.task_id)

    def to_csv(self) -> bytes:
        return self._client.scan_csv(self.ended.task_id)


class _LocalScan:
    """A scan in this process."""

    def __init__(
        self,
        folder: Path,
        project: str | None,
        lang: Lang | None,
        timeout: float,
        exclude: list[str],
        *,
        triage: bool,
        quiet: bool,
    ) -> None:
        from securetag.cli.scan.local import scan_locally
        from securetag.settings import get_settings

        self.packed: Packed | None
        self.ended, self.findings, self.packed = scan_locally(
            folder,
            get_settings(),
            project=project or folder.name,
            lang=lang,
            timeout_s=timeout,
            exclude=exclude,
            triage=triage,
            progress=None if quiet else typer.echo,
        )

    def to_sarif(self) -> bytes:
        from securetag.scanning.sarif.reported import report_answer
        from securetag.scanning.sarif.write import describe_run, write_sarif

        return write_sarif(map(report_answer, self.findings), describe_run(self.ended))

    def to_csv(self) -> bytes:
        from securetag.wire.csv import to_csv

        return to_csv(self.findings).encode("utf-8", "replace")


def _finish(
    scan: _Scan,
    selection: Selection,
    min_confidence: MinConfidence,
    fail_on: Level | None,
    sarif: Path | None,
    csv: Path | None,
    markdown: Path | None,
    *,
    details: bool,
    as_json: bool,
) -> None:
    """Print the scan, write what was asked for, and leave with the exit code that it has."""
    from securetag.cli.scan.confidence import describe_hidden, select_confident
    from securetag.cli.scan.report import print_json, print_table
    from securetag.system.files import write_atomic

    shown = select_confident(scan.findings, min_confidence)
    hidden = len(scan.findings) - len(shown)
    shown, counted = selection.apply(shown)
    if as_json:
        print_json(scan.ended, shown, scan.packed, below_min_confidence=hidden, counted=counted)
    else:
        print_table(scan.ended, shown, scan.packed, details=details)
        if hidden:
            typer.echo(describe_hidden(hidden, min_confidence))
        if selection.note:
            typer.echo(f"counted for --fail-on: {selection.note}")
    if scan.ended.state == "completed":
        comment = partial(_comment, scan.ended, shown)
        for file, export in ((sarif, scan.to_sarif), (csv, scan.to_csv), (markdown, comment)):
            if file is not None:
                write_atomic(file, export())
                typer.echo(f"wrote {file}", err=True)
    check_end(scan.ended, counted, fail_on)


def _comment(ended: ScanDetail, findings: list[FindingAnswer]) -> bytes:
    from securetag.cli.scan.markdown import to_markdown

    return to_markdown(ended, findings).encode("utf-8", "replace")


class _Upload:
    """A folder that becomes a scan."""

    def __init__(
        self,
        client: ApiClient,
        git: Git,
        project: str | None,
        lang: Lang | None,
        exclude: list[str],
        given: tuple[str | None, str | None, str | None],
    ) -> None:
        """`given`: branch, commit and base commit, each in place of what git says."""
        self._client, self._git, self._folder, self._lang = client, git, git.folder, lang
        self._project, self._exclude, self._given = project, exclude, given
        #: What of the folder was sent.
        self.packed: Packed | None = None

    def start(self) -> UUID:
        """Pack and upload the folder; return the scan's id."""
        import tempfile

        from securetag.cli.scan.packing import pack
        from securetag.wire.api import ScanParams

        with tempfile.TemporaryDirectory() as temporary:
            archive = Path(temporary) / f"{self._folder.name}.zip"
            self.packed = pack(self._folder, archive, exclude=self._exclude)
            checkout = self._git.read_checkout()
            branch, commit, base_commit = self._given
            params = ScanParams(
                lang=self._lang,
                exclude=self._exclude,
                not_uploaded=self.packed.count_by_reason(),
                not_uploaded_files=self.packed.named,
                branch=branch or checkout.branch,
                commit=commit or checkout.commit,
                base_commit=base_commit or checkout.base_commit,
            )
            project = self._project or self._folder.name
            return self._client.upload(archive, project=project, params=params).task_id
