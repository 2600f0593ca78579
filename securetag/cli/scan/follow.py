"""One scan as a command sees it, of a folder or of a web application: start, wait, cancel, exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import typer

from securetag.cli.scan.options import Level, MinConfidence

if TYPE_CHECKING:
    from securetag.client.api import ApiClient
    from securetag.wire.api import FindingAnswer, ScanDetail

FINDINGS = 1
FAILED = 2
#: Seconds that the api gets to cancel a scan after Ctrl-C.
CANCEL_S = 10.0


@dataclass
class FollowedScan:
    """One scan from its start to its end."""

    client: ApiClient
    quiet: bool
    #: Below this confidence no finding is shown before its triage ends.
    min_confidence: MinConfidence = "low"
    #: None until the api has accepted the scan.
    task_id: str | None = None

    def follow(
        self, start: Callable[[], UUID] | None, timeout: float
    ) -> tuple[ScanDetail, list[FindingAnswer]]:
        """Start the scan unless it was started before, and wait for its end; return it and its findings.

        `start` returns the scan's id. A signal cancels the scan; an error after its start says how to get
        back to it.
        """
        from securetag.cli.scan.interrupt import Interrupted, raise_on_signals
        from securetag.errors import SecuretagError

        try:
            with raise_on_signals():
                if start is not None:
                    self.task_id = str(start())
                    if not self.quiet:
                        typer.echo(f"scan {self.task_id}")
                assert self.task_id is not None, "given, or made by the start"
                progress = None if self.quiet else typer.echo
                ended = self.client.wait(
                    self.task_id,
                    timeout_s=timeout,
                    progress=progress,
                    on_findings=None if self.quiet else self._show_early,
                )
                return ended, list(self.client.scan_findings(self.task_id))
        except Interrupted as interrupted:
            if self.task_id is not None:
                _cancel(self.client, self.task_id)
            else:
                typer.echo("interrupted before the api accepted the scan", err=True)
            raise typer.Exit(interrupted.exit_code) from interrupted
        except SecuretagError as error:
            if self.task_id is not None:
                error.hint = f"{error.hint} {_way_back(self.task_id)}".strip()
            raise

    def _show_early(self, scan: ScanDetail) -> None:
        """Print what was found, while a model is asked about it."""
        from securetag.cli.scan.confidence import select_confident
        from securetag.cli.scan.report import print_findings

        findings = select_confident(list(self.client.scan_findings(scan.task_id)), self.min_confidence)
        print_findings(findings, title=f"{len(findings)} findings, {scan.being_triaged} being triaged")


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


def check_end(ended: ScanDetail, findings: Sequence[FindingAnswer], fail_on: Level | None) -> None:
    """Raise for a scan that isn't done or read nothing, and leave with 1 for findings that count."""
    from securetag.errors import InputError, SecuretagError
    from securetag.records import SEVERITIES
    from securetag.wire.verdicts import counts

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
    if any(SEVERITIES.index(item.severity) >= level and counts(item) for item in findings):
        raise typer.Exit(FINDINGS)


@contextmanager
def unexpected_errors() -> Iterator[None]:
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
