"""What a scanner of web applications is, and how one is run: behind the egress proxy, within limits.

A scanner is a class with three methods. `WebScanner.scan` runs its command once and turns what it reports
into the one Finding.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeGuard

import httpx
from anyio.from_thread import start_blocking_portal

from securetag.errors import InputError, SecuretagError, ToolError
from securetag.scanning.process import minimal_environment, run
from securetag.scanning.scanner import ScannerRun, describe_end
from securetag.scanning.web.addresses import Target
from securetag.scanning.web.egress import FAILED_HEADER, EgressPolicy, EgressProxy
from securetag.scanning.web.location import WebMatch, web_findings
from securetag.scanning.web.redact import MAX_CHARS, redact
from securetag.settings import Settings
from securetag.settings.sections import WebSettings
from securetag.system.registry import Registry
from securetag.wire.queue import ToolMetrics

log = logging.getLogger(__name__)

#: Seconds that the application may take to answer before the scan.
REACH_S = 20.0


@dataclass(frozen=True)
class WebScanRequest:
    """An application to scan, and how the caller follows and ends the scan."""

    url: str
    target: Target
    #: Folder for the scanner's report and temporary files.
    out: Path
    #: Seconds of wall time that are left.
    timeout_s: float
    #: When it is set, the scan ends.
    stop: threading.Event | None = None
    #: Gets the process group of each process that is started.
    on_start: Callable[[int], None] | None = None


class WebScanner(ABC):
    """A program that scans a web application and writes a report."""

    #: Of its findings, tool executions, metrics and artifacts.
    name: ClassVar[str]
    #: Whether scans go on without it where it isn't installed.
    is_optional: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings: WebSettings = settings.web
        self.private_paths = settings.private_paths

    @abstractmethod
    def detect(self) -> str:
        """Return where it is. Raises SettingsError, which says what is missing and how to install it."""

    @abstractmethod
    def command(self, request: WebScanRequest, proxy: str, report: Path) -> list[str]:
        """Return the command that scans `request.url` through `proxy` and writes its report to `report`.

        It ends by itself within `request.timeout_s` seconds, so that what it has is reported.
        """

    @abstractmethod
    def parse(self, report: bytes, target: Target) -> list[WebMatch]:
        """Return what a report says of the target. Raises ToolError for something else than a report.

        An application may be hostile, and so a report of it.
        """

    def scan(self, request: WebScanRequest) -> ScannerRun:
        """Run the command once, behind a proxy of its own, and read its report.

        Never raises for what the scanner does: see `ScannerRun.failure`. Raises SettingsError when it is
        missing.
        """
        self.detect()
        home = request.out / "home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        report, stdout = request.out / "report.json", request.out / f"{self.name}.stdout.txt"
        stderr = request.out / f"{self.name}.stderr.txt"
        policy = egress_policy(self.settings, request.target)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(EgressProxy(policy, tool_folder=request.out)) as proxy,
        ):
            argv = self.command(request, proxy.url, report)
            result = run(
                argv,
                cwd=request.out,
                timeout_s=request.timeout_s,
                memory_mb=self.settings.memory_mb,
                cpu_limit_s=self.settings.cpu_s,
                stdout=stdout,
                stderr=stderr,
                stop=request.stop,
                on_start=request.on_start,
                hidden=self.private_paths,
                gateway=proxy.gateway,
                # For whatever part of it that doesn't ask its own settings.
                env=minimal_environment(home, request.out)
                | dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy.url),
            )
            egress = proxy.report
        for path in (stdout, stderr):
            _redact_file(path)
        content, matches = report.read_bytes() if report.exists() else b"", list[WebMatch]()
        failure = describe_end(self.name.capitalize(), result, stderr)
        if not failure:
            try:
                matches = self.parse(content, request.target)
            except SecuretagError as error:
                failure = f"{self.name.capitalize()}'s report can't be read: {error}"
        findings = web_findings(matches, tool=self.name, origin=request.target.origin)
        metrics = ToolMetrics(
            tool=self.name,
            findings=len(findings),
            cpu_s=round(result.cpu_s, 3),
            peak_mb=round(result.peak_mb, 1),
            requests=egress.requests,
            refused=dict(egress.refused),
        )
        version = self.read_version(content)
        return ScannerRun(
            self.name, findings, version, argv, result, metrics, stdout, stderr, failure=failure
        )

    def read_version(self, report: bytes) -> str:  # noqa: ARG002  # for reports that say nothing of it
        """Return the scanner's version, as its report says it; empty where it doesn't."""
        return ""


def egress_policy(settings: WebSettings, target: Target) -> EgressPolicy:
    """Return what a scan of `target` may reach."""
    return EgressPolicy(
        target,
        allow_loopback=settings.allow_loopback,
        max_requests=settings.max_requests,
        max_bytes=settings.max_bytes,
        timeout_s=settings.timeout_s,
    )


def reach(url: str, target: Target, settings: WebSettings) -> None:
    """Ask for the page where a scan begins: one that sees nothing would be taken for a clean one.

    Raises InputError where the egress proxy refuses the target's address, ToolError where nothing answers.
    """
    policy = egress_policy(settings, target)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(EgressProxy(policy)) as proxy:
        try:
            with (
                # Certificates aren't checked: an expired one is a finding rather than an obstacle.
                httpx.Client(proxy=proxy.url, trust_env=False, verify=False, timeout=REACH_S) as client,
                client.stream("GET", url) as answer,
            ):
                failure = answer.headers.get(FAILED_HEADER, "")
        except httpx.HTTPError as error:
            failure = f"{type(error).__name__}: {error}"
        refused = dict(proxy.report.refused)
    if refused:
        raise InputError(
            f"{target.origin} has no public address: it is {', '.join(refused).replace('_', '-')}",
            hint="A scan reaches public addresses only; see docs/web-scans.md.",
        )
    if failure:
        raise ToolError(f"{url} can't be reached: {failure}", hint="Is the application running?")


def _redact_file(path: Path) -> None:
    """Keep the end of a scanner's output, without secrets."""
    text = path.read_bytes()[-MAX_CHARS:].decode("utf-8", "replace")
    path.write_text(redact(text), "utf-8")


def _is_scanner(candidate: object) -> TypeGuard[type[WebScanner]]:
    return isinstance(candidate, type) and issubclass(candidate, WebScanner)


#: All scanners of web applications. `web.scanners` names those that a worker runs.
WEB_SCANNERS: Registry[type[WebScanner]] = Registry(
    "web scanner",
    {
        "wapiti": "securetag.scanning.web.wapiti:WapitiScanner",
        "nuclei": "securetag.scanning.web.nuclei:NucleiScanner",
    },
    group="securetag.web_scanners",
    accepts=_is_scanner,
)


def select_scanners(settings: Settings) -> list[WebScanner]:
    """Return the scanners that the settings name, without the optional ones that aren't installed.

    Raises SettingsError where another one is missing.
    """
    selected = []
    for name in settings.web.scanners:
        scanner = WEB_SCANNERS.get(name)(settings)
        try:
            scanner.detect()
        except SecuretagError as error:
            if not scanner.is_optional:
                raise
            log.info("web scans go on without %s: %s", name, error)
        else:
            selected.append(scanner)
    return selected
