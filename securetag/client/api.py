"""The api as a program sees it: upload a project, wait for its scan, read findings, say what is true.

::

    with ApiClient("http://127.0.0.1:8080", key) as client:
        upload = client.upload(Path("shop.zip"), project="shop")
        scan = client.wait(upload.task_id, timeout_s=900)
        for finding in client.scan_findings(scan.task_id):
            print(finding.severity, finding.rule_id, finding.occurrence.path)

Every method raises UnavailableError where the api doesn't answer, and otherwise the error that the api
names (AuthenticationError, PermissionDeniedError, NotFoundError, ConflictError, InputError, LimitError).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel

from securetag.client.http import HttpClient
from securetag.errors import UnavailableError
from securetag.records import BranchState
from securetag.wire.api import (
    ConsentAnswer,
    ConsentBody,
    FindingAnswer,
    FindingDetail,
    ProjectAnswer,
    ProjectChanges,
    ScanAnswer,
    ScanDetail,
    ScanParams,
    SuppressionAnswer,
    SuppressionBody,
    ToolsStatus,
    UploadAccepted,
)
from securetag.wire.base import Body, Page
from securetag.wire.feedback import (
    BulkFeedbackAnswer,
    BulkFeedbackBody,
    FeedbackAnswer,
    FeedbackBody,
    FindingChanges,
    NoteAnswer,
    NoteBody,
)
from securetag.wire.imports import ImportAccepted, ImportParams
from securetag.wire.repositories import GitScanAccepted, GitScanBody
from securetag.wire.web import TargetAnswer, TargetBody, WebScanAccepted, WebScanBody
from securetag.wire.webhooks import (
    DeliveryAnswer,
    SecretRotation,
    WebhookAnswer,
    WebhookBody,
    WebhookChanges,
    WebhookCreated,
)

Item = TypeVar("Item", bound=BaseModel)
#: Query parameters of a list; None: left out.
Filters = Mapping[str, str | list[str] | None]

#: States of a scan that has ended.
ENDED = frozenset({"completed", "failed", "timeout", "cancelled", "dead_letter"})
#: Seconds between two looks at a scan, from its first to its later ones: each costs api and client some
#: 20 CPU-milliseconds together, of which a tenth of the time waited so far is enough to know in time.
POLL_S = (0.2, 3.0)
#: Of the time waited so far, until the next look.
POLL_SHARE = 0.1
#: Seconds that a target's verification may take: the api looks in two places for ten seconds each, at once.
VERIFY_S = 60.0
#: Seconds that an export may take: 25,000 findings with their code.
EXPORT_S = 120.0
#: Rows of one page; the api's own maximum.
PAGE_SIZE = 200


class ApiClient(HttpClient):
    """A key's view of one api."""

    def upload(
        self,
        archive: Path,
        *,
        project: str,
        params: ScanParams | None = None,
        idempotency_key: str | None = None,
    ) -> UploadAccepted:
        """Upload a zip archive or a tar.gz; the same `idempotency_key` never makes a second scan."""
        form = {"project": project}
        if params is not None:
            form["params"] = params.model_dump_json(exclude_defaults=True)
        with archive.open("rb") as content:
            return self.read(
                UploadAccepted,
                "POST",
                "/codeaudit/upload",
                files={"file": (archive.name, content, "application/octet-stream")},
                data=form,
                headers={"Idempotency-Key": idempotency_key or str(uuid4())},
            )

    def import_findings(
        self,
        report: Path,
        *,
        project: str,
        source: Path | None = None,
        params: ImportParams | None = None,
        idempotency_key: str | None = None,
    ) -> ImportAccepted:
        """Import another tool's SARIF; `source` is a zip archive of the code that it is about."""
        form = {"project": project}
        if params is not None:
            form["params"] = params.model_dump_json(exclude_defaults=True)
        with ExitStack() as opened:
            content = opened.enter_context(report.open("rb"))
            files = {"file": (report.name, content, "application/sarif+json")}
            if source is not None:
                code = opened.enter_context(source.open("rb"))
                files["source"] = (source.name, code, "application/zip")
            return self.read(
                ImportAccepted,
                "POST",
                "/findings/import",
                files=files,
                data=form,
                headers={"Idempotency-Key": idempotency_key or str(uuid4())},
            )

    def scan_web(self, body: WebScanBody) -> WebScanAccepted:
        """Scan a web application. Raises NotFoundError or ConflictError unless it is proven to be yours."""
        return self._post(WebScanAccepted, "/scans/web", body)

    def scan_commit(self, body: GitScanBody) -> GitScanAccepted:
        """Scan a commit of a git repository that everybody may read."""
        return self._post(GitScanAccepted, "/scans/git", body)

    def targets(self) -> Iterator[TargetAnswer]:
        """Return every web application that may be scanned or is to be proven, page by page."""
        return self._pages(TargetAnswer, "/targets", {})

    def add_target(self, url: str) -> TargetAnswer:
        """Name a web application; the answer says what proves it yours. Raises ConflictError for a second."""
        return self._post(TargetAnswer, "/targets", TargetBody(url=url))

    def verify_target(self, target_id: UUID | str) -> TargetAnswer:
        """Have the proof looked for. Raises ConflictError, which says what was seen instead."""
        return self.read(TargetAnswer, "POST", f"/targets/{target_id}/verify", timeout=VERIFY_S)

    def remove_target(self, target_id: UUID | str) -> None:
        """Have a web application scanned no more."""
        self.send("DELETE", f"/targets/{target_id}")

    def scan(self, task_id: UUID | str) -> ScanDetail:
        """Return a scan as it stands."""
        return self.read(ScanDetail, "GET", f"/scans/{task_id}", repeatable=True)

    def scans(self, *, project: str | None = None) -> Iterator[ScanAnswer]:
        """Return every scan newest first, page by page."""
        return self._pages(ScanAnswer, "/codeaudit/index", {"project": project})

    def wait(
        self,
        task_id: UUID | str,
        *,
        timeout_s: float,
        progress: Callable[[str], None] | None = None,
        on_findings: Callable[[ScanDetail], None] | None = None,
    ) -> ScanDetail:
        """Return the scan when it has ended; `progress` hears of each state and stage.

        `on_findings` gets the scan once, when it has findings whose verdicts are still to come.
        Raises UnavailableError where it hasn't ended after `timeout_s` seconds.
        """
        began, shown = time.monotonic(), ""
        while True:
            scan = self.scan(task_id)
            stage = f"{scan.state} {scan.stage}".strip()
            if progress is not None and stage != shown:
                progress(stage)
                shown = stage
            if on_findings is not None and scan.being_triaged:
                on_findings(scan)
                on_findings = None
            if scan.state in ENDED:
                return scan
            waited = time.monotonic() - began
            if waited > timeout_s:
                raise UnavailableError(
                    f"scan {task_id} is still {scan.state} after {timeout_s:.0f} s",
                    hint="Is a worker running? See its log below the home's logs folder.",
                )
            time.sleep(min(POLL_S[1], max(POLL_S[0], waited * POLL_SHARE)))

    def cancel(self, task_id: UUID | str, *, timeout_s: float | None = None) -> ScanAnswer:
        """Cancel a scan. Raises ConflictError where it has ended."""
        options = {} if timeout_s is None else {"timeout": timeout_s}
        return self.read(ScanAnswer, "POST", f"/scans/{task_id}/cancel", **options)

    def scan_findings(
        self, task_id: UUID | str, *, severity: str | None = None, verdict: str | None = None
    ) -> Iterator[FindingAnswer]:
        """Return every finding of a scan, page by page."""
        path = f"/scans/{task_id}/findings"
        return self._pages(FindingAnswer, path, {"severity": severity, "verdict": verdict})

    def scan_sarif(self, task_id: UUID | str) -> bytes:
        """Return a completed scan as SARIF 2.1.0. Raises ConflictError before it is completed."""
        return self.send("GET", f"/scans/{task_id}/sarif", repeatable=True, timeout=EXPORT_S).content

    def scan_csv(self, task_id: UUID | str) -> bytes:
        """Return a completed scan's findings as CSV. Raises ConflictError before it is completed."""
        path = f"/scans/{task_id}/findings"
        options = {"params": {"format": "csv"}, "timeout": EXPORT_S}
        return self.send("GET", path, repeatable=True, **options).content

    def findings(
        self,
        *,
        project: str | None = None,
        project_id: UUID | str | None = None,
        states: Sequence[BranchState | Literal["any"]] = (),
        branch: str | None = None,
        severity: str | None = None,
        confidence: str | None = None,
        verdict: str | None = None,
        suppressed: bool | None = None,
        rule_id: str | None = None,
        cwe: str | None = None,
        path: str | None = None,
        reviewed: bool | None = None,
        disagree: bool | None = None,
        since: str | None = None,
        assignee: str | None = None,
        assigned: bool | None = None,
        noted: bool | None = None,
        text: str | None = None,
    ) -> Iterator[FindingAnswer]:
        """Return what is in the code now, page by page; in `states` where they are given."""
        filters: Filters = {
            "project": project,
            "project_id": None if project_id is None else str(project_id),
            "state": list(states) or None,
            "branch": branch,
            "severity": severity,
            "confidence": confidence,
            "verdict": verdict,
            "suppressed": _flag(suppressed),
            "reviewed": _flag(reviewed),
            "disagree": _flag(disagree),
            "since": since,
            "assignee": assignee,
            "assigned": _flag(assigned),
            "noted": _flag(noted),
            "q": text,
            "rule_id": rule_id,
            "cwe": cwe,
            "path": path,
        }
        return self._pages(FindingAnswer, "/findings", filters)

    def finding(self, finding_id: UUID | str, *, branch: str | None = None) -> FindingDetail:
        """Return a finding with all its feedback, as the newest scan of the branch shows it."""
        query = {} if branch is None else {"branch": branch}
        return self.read(FindingDetail, "GET", f"/findings/{finding_id}", params=query, repeatable=True)

    def add_feedback(self, finding_id: UUID | str, feedback: FeedbackBody) -> FeedbackAnswer:
        """Say whether a finding is true. Raises ConflictError where a newer scan has seen it since."""
        return self._post(FeedbackAnswer, f"/findings/{finding_id}/feedback", feedback)

    def withdraw_feedback(self, finding_id: UUID | str, feedback_id: UUID | str) -> FeedbackAnswer:
        """Take a verdict back. Raises PermissionDeniedError for another reviewer's."""
        return self.read(FeedbackAnswer, "DELETE", f"/findings/{finding_id}/feedback/{feedback_id}")

    def add_bulk_feedback(self, feedback: BulkFeedbackBody) -> BulkFeedbackAnswer:
        """Give one verdict on many findings; it counts as one vote. Raises ConflictError and GoneError."""
        return self._post(BulkFeedbackAnswer, "/findings/feedback", feedback)

    def withdraw_bulk_feedback(self, bulk_id: UUID | str) -> BulkFeedbackAnswer:
        """Take a bulk decision back."""
        return self.read(BulkFeedbackAnswer, "DELETE", f"/findings/feedback/{bulk_id}")

    def assign(self, finding_id: UUID | str, assignee: str | None) -> FindingAnswer:
        """Say who works on a finding; None: nobody."""
        body = FindingChanges(assignee=assignee).model_dump(mode="json")
        return self.read(FindingAnswer, "PATCH", f"/findings/{finding_id}", json=body, repeatable=True)

    def add_note(self, finding_id: UUID | str, text: str) -> NoteAnswer:
        """Note something about a finding for colleagues."""
        return self._post(NoteAnswer, f"/findings/{finding_id}/notes", NoteBody(text=text))

    def suppressions(
        self, *, project: str | None = None, include_ended: bool = False
    ) -> Iterator[SuppressionAnswer]:
        """Return the suppressions in force, page by page; with `include_ended` the others too."""
        filters: Filters = {"project": project, "all": "true" if include_ended else None}
        return self._pages(SuppressionAnswer, "/suppressions", filters)

    def add_suppression(self, body: SuppressionBody) -> SuppressionAnswer:
        """Choose not to hear of something. Raises ConflictError where a newer scan has seen the finding."""
        return self._post(SuppressionAnswer, "/suppressions", body)

    def remove_suppression(self, suppression_id: UUID | str) -> None:
        """Have it heard of again."""
        self.send("DELETE", f"/suppressions/{suppression_id}")

    def delete(self, kind: Literal["scan", "finding", "project"], named: UUID | str) -> None:
        """Delete something for good, with all that belongs to it. Raises ConflictError during a scan."""
        self.send("DELETE", f"/{kind}s/{named}", timeout=EXPORT_S)

    def webhooks(self) -> Iterator[WebhookAnswer]:
        """Return where the tenant's events are sent, page by page."""
        return self._pages(WebhookAnswer, "/webhooks", {})

    def add_webhook(self, body: WebhookBody) -> WebhookCreated:
        """Have events sent to an address; the answer has the secret that signs them, for the only time."""
        return self._post(WebhookCreated, "/webhooks", body)

    def change_webhook(self, webhook_id: UUID | str, changes: WebhookChanges) -> WebhookAnswer:
        """Change a webhook; what is left out stays."""
        body = changes.model_dump(mode="json", exclude_none=True)
        return self.read(WebhookAnswer, "PATCH", f"/webhooks/{webhook_id}", json=body, repeatable=True)

    def rotate_webhook(self, webhook_id: UUID | str, rotation: SecretRotation) -> WebhookCreated:
        """Replace a webhook's secret; for the overlap messages are signed with both."""
        return self._post(WebhookCreated, f"/webhooks/{webhook_id}/rotate", rotation)

    def remove_webhook(self, webhook_id: UUID | str) -> None:
        """Send nothing to it any more, and delete its log."""
        self.send("DELETE", f"/webhooks/{webhook_id}")

    def deliveries(self, webhook_id: UUID | str) -> Iterator[DeliveryAnswer]:
        """Return what was sent to a webhook and is to be sent, newest first, page by page."""
        return self._pages(DeliveryAnswer, f"/webhooks/{webhook_id}/deliveries", {})

    def redeliver(self, webhook_id: UUID | str, delivery_id: UUID | str) -> DeliveryAnswer:
        """Send a message once more, under its id. Raises ConflictError where it still waits."""
        path = f"/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"
        headers = {"Idempotency-Key": str(uuid4())}
        return self.read(DeliveryAnswer, "POST", path, headers=headers, repeatable=True)

    def consent(self) -> ConsentAnswer:
        """Return whether Securetag may learn from this tenant."""
        return self.read(ConsentAnswer, "GET", "/consent", repeatable=True)

    def set_consent(self, granted: bool) -> ConsentAnswer:
        """Grant or withdraw consent."""
        body = ConsentBody(granted=granted).model_dump(mode="json")
        return self.read(ConsentAnswer, "PUT", "/consent", json=body, repeatable=True)

    def projects(self) -> Iterator[ProjectAnswer]:
        """Return every project, page by page."""
        return self._pages(ProjectAnswer, "/projects", {})

    def change_project(self, project_id: UUID | str, changes: ProjectChanges) -> ProjectAnswer:
        """Change a project's settings; what is left out stays."""
        body = changes.model_dump(mode="json", exclude_none=True)
        return self.read(ProjectAnswer, "PATCH", f"/projects/{project_id}", json=body, repeatable=True)

    def tools(self) -> ToolsStatus:
        """Return the state of tools, queue and workers."""
        return self.read(ToolsStatus, "GET", "/tools/status", repeatable=True)

    def _post(self, kind: type[Item], path: str, body: Body) -> Item:
        # The key makes a repetition harmless.
        headers = {"Idempotency-Key": str(uuid4())}
        return self.read(
            kind, "POST", path, json=body.model_dump(mode="json"), headers=headers, repeatable=True
        )

    def _pages(self, kind: type[Item], path: str, filters: Filters) -> Iterator[Item]:
        query: dict[str, str | list[str]] = {
            name: value for name, value in filters.items() if value is not None
        }
        query["limit"] = str(PAGE_SIZE)
        while True:
            page = self.read(Page[kind], "GET", path, params=query, repeatable=True)  # type: ignore[valid-type]
            yield from page.items
            if page.next_cursor is None:
                return
            query["cursor"] = str(page.next_cursor)


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
