"""`securetag scan`: upload a project, wait, print what was found.

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 anything else, 130 and 143 for a signal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from securetag.cli.output import Json, reported_with

if TYPE_CHECKING:
    from securetag.cli.scan.packing import Packed
    from securetag.client.api import ApiClient
    from securetag.wire.api import FindingAnswer, ScanDetail

FINDINGS = 1
FAILED = 2
#: Seconds that the api gets to cancel a scan after Ctrl-C.
CANCEL_S = 10.0

Level = Literal["info", "low", "medium", "high", "critical"]
# As in `records`, which `--help` doesn't wait for; a test compares them.
Lang = Literal["en", "es"]
FailOn = Annotated[
    Level | None,
    typer.Option(
        help="Exit 1 when a finding is at or above this severity, unless a person called it a false positive."
    ),
]


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
    api: Annotated[str | None, typer.Option(envvar="SECURETAG_API_URL", help="Address of the api.")] = None,
    key: Annotated[str | None, typer.Option(envvar="SECURETAG_API_KEY", help="API key.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the scan.")] = 900.0,
    as_json: Json = False,
) -> None:
    """Scan a folder with a running Securetag.

    That of `securetag up`, or any other by --api. Ctrl-C cancels the scan.

    Exit code 0: scanned, nothing at or above --fail-on; 1: there is; 2: anything else (no service, wrong
    key, unfinished scan, nothing scanned); 130 or 143: ended by a signal.
    """
    from securetag.cli.client import connect
    from securetag.cli.scan.report import print_json, print_table

    if (path is None) == (resume is None):
        raise typer.BadParameter("give either the folder of a project or --resume TASK", param_hint="PATH")
    url, secret = _where(api, key)
    with _unexpected_errors(), connect(url, secret) as client:
        run = _Run(client, as_json, lang, task_id=str(resume) if resume is not None else None)
        ended, findings = run.follow(path.resolve() if path is not None else None, project, timeout)
        (print_json if as_json else print_table)(ended, findings, run.packed)
        _check(ended, findings, fail_on)


@dataclass
class _Run:
    """One scan from the upload to its end."""

    client: ApiClient
    quiet: bool
    lang: Lang | None
    #: None until the api has confirmed the upload.
    task_id: str | None
    #: What of the folder was sent; None for a scan that was started before.
    packed: Packed | None = None

    def follow(
        self, folder: Path | None, project: str | None, timeout: float
    ) -> tuple[ScanDetail, list[FindingAnswer]]:
        """Wait until the scan has ended; return it and its findings.

        A signal cancels the scan; an error after the upload says how to get back to it.
        """
        from securetag.cli.scan.interrupt import Interrupted, raise_on_signals
        from securetag.errors import SecuretagError

        try:
            with raise_on_signals():
                if folder is not None:
                    self._upload(folder, project)
                assert self.task_id is not None, "given, or made by the upload"
                progress = None if self.quiet else typer.echo
                ended = self.client.wait(self.task_id, timeout_s=timeout, progress=progress)
                return ended, list(self.client.scan_findings(self.task_id))
        except Interrupted as interrupted:
            if self.task_id is not None:
                _cancel(self.client, self.task_id)
            else:
                typer.echo("interrupted before the api confirmed the upload", err=True)
            raise typer.Exit(interrupted.exit_code) from interrupted
        except SecuretagError as error:
            if self.task_id is not None:
                error.hint = f"{error.hint} {_way_back(self.task_id)}".strip()
            raise

    def _upload(self, folder: Path, project: str | None) -> None:
        import tempfile

        from securetag.cli.scan.packing import pack
        from securetag.wire.api import ScanParams

        with tempfile.TemporaryDirectory() as temporary:
            archive = Path(temporary) / f"{folder.name}.zip"
            self.packed = pack(folder, archive)
            params = ScanParams(lang=self.lang)
            accepted = self.client.upload(archive, project=project or folder.name, params=params)
            self.task_id = str(accepted.task_id)
        if not self.quiet:
            typer.echo(f"scan {self.task_id}")


def _cancel(client: ApiClient, task_id: str) -> None:
    """Cancel the scan and say so, or say that it goes on and how to get back. A second signal ends that."""
    from securetag.cli.scan.interrupt import Interrupted, raise_on_signals
    from securetag.errors import SecuretagError

    try:
        with raise_on_signals():
            typer.echo(f"canceling scan {task_id} …", err=True)
            client.cancel(task_id, timeout_s=CANCEL_S)
    except (SecuretagError, Interrupted) as error:
        reason = str(error) or "interrupted again"
        typer.echo(f"scan {task_id} was not canceled: {reason}\n  next: {_way_back(task_id)}", err=True)
    else:
        typer.echo(f"scan {task_id} is canceled", err=True)


def _way_back(task_id: str) -> str:
    return f"See the scan again with `securetag scan --resume {task_id}`."


def _check(ended: ScanDetail, findings: Sequence[FindingAnswer], fail_on: Level | None) -> None:
    """Raise for a scan that isn't done or read nothing, and leave with 1 for findings that count."""
    from securetag.cli.scan.verdicts import is_dismissed
    from securetag.errors import InputError, SecuretagError
    from securetag.records import SEVERITIES

    if ended.state != "completed":
        reason = ended.reason or "no reason was given"
        raise SecuretagError(f"scan {ended.task_id} ended as {ended.state}: {reason}")
    if ended.coverage is not None and not sum(ended.coverage.files.values()):
        raise InputError(
            "nothing was scanned",
            hint="The rules read Python, JavaScript and TypeScript. Is it the right folder?",
        )
    if fail_on is None:
        return
    level = SEVERITIES.index(fail_on)
    if any(SEVERITIES.index(item.severity) >= level and not is_dismissed(item) for item in findings):
        raise typer.Exit(FINDINGS)


@contextmanager
def _unexpected_errors() -> Iterator[None]:
    """Turn a bug into an error of ours: Python's own exit code for it is 1, which means findings here."""
    from securetag.errors import SecuretagError

    try:
        yield
    except (SecuretagError, typer.Exit):
        raise
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise SecuretagError(
            f"unexpected {type(error).__name__}: {error}", hint="Report it with the lines above."
        ) from error


def _where(api: str | None, key: str | None) -> tuple[str, str]:
    """Return address and key: as given, else those that `securetag up` wrote for this home."""
    from securetag.cli.services.supervise import published
    from securetag.errors import AuthenticationError, UnavailableError
    from securetag.settings import get_settings
    from securetag.system.services import read_services

    settings = get_settings()
    url = api or read_services(settings.run_dir).get("api", {}).get("url")
    if not url:
        raise UnavailableError(
            "no api is running for this home", hint="Start one with `securetag up`, or name one with --api."
        )
    secret = key or published(settings.home, "local-key").get("key")
    if not secret:
        raise AuthenticationError(
            "no API key was given", hint="Set SECURETAG_API_KEY, or make one with `securetag key create`."
        )
    return str(url), str(secret)
