"""Coverage → SARIF notifications: what was not scanned, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from securetag.scanning.sarif.document import (
    ArtifactLocation,
    Descriptor,
    DescriptorReference,
    Location,
    Message,
    Notification,
    PhysicalLocation,
)
from securetag.wire.queue import Coverage

_DESCRIPTIONS = {
    "securetag/skipped": "A file was not scanned.",
    "securetag/scanner-failed": "A scanner failed; findings that it alone reports are missing.",
    "securetag/rule-timeout": "A rule took too long on a file; the other rules ran on it.",
    "securetag/parse-error": "Only a part of a file could be read.",
    "securetag/unsupported": "No rule reads files of this language.",
    "securetag/nothing-scanned": "No file was scanned.",
}


@dataclass
class CoverageNotes:
    """Notifications, and the descriptors that they refer to."""

    notifications: list[Notification] = field(default_factory=list)
    descriptors: list[Descriptor] = field(default_factory=list)

    def add(self, kind: str, text: str, *, path: str = "", level: str = "warning") -> None:
        """Append one notification."""
        if all(descriptor.id != kind for descriptor in self.descriptors):
            self.descriptors.append(Descriptor(id=kind, short_description=Message(text=_DESCRIPTIONS[kind])))
        self.notifications.append(
            Notification(
                message=Message(text=text),
                level=level,
                descriptor=DescriptorReference(id=kind),
                locations=[_location(path)] if path else [],
            )
        )


def describe_coverage(coverage: Coverage | None) -> CoverageNotes:
    """Return a notification for each listed file, and one for what a list leaves out."""
    notes = CoverageNotes()
    if coverage is None:
        return notes
    if not sum(coverage.files.values()):
        notes.add("securetag/nothing-scanned", "No file was scanned.", level="error")
    for failed in coverage.failed_tools:
        notes.add("securetag/scanner-failed", f"{failed.tool} failed: {failed.reason}", level="error")
    for skipped in coverage.skipped:
        text = f"{skipped.path} was not scanned: {skipped.reason.value} ({skipped.bytes:,} bytes)"
        notes.add("securetag/skipped", text, path=skipped.path)
    listed = len(coverage.skipped)
    if (others := sum(coverage.skipped_by_reason.values()) - listed) > 0:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(coverage.skipped_by_reason.items()))
        notes.add("securetag/skipped", f"{others:,} more files were not scanned; all by reason: {reasons}")
    for timeout in coverage.timeouts:
        text = f"rule {timeout.rule} took too long on {timeout.path}"
        notes.add("securetag/rule-timeout", text, path=timeout.path)
    if (others := coverage.timeouts_total - len(coverage.timeouts)) > 0:
        notes.add("securetag/rule-timeout", f"{others:,} more rules took too long on a file")
    for path in coverage.parse_errors:
        notes.add("securetag/parse-error", f"{path} was read only in part", path=path)
    if (others := coverage.parse_errors_total - len(coverage.parse_errors)) > 0:
        notes.add("securetag/parse-error", f"{others:,} more files were read only in part")
    for language, count in sorted(coverage.unsupported.items()):
        notes.add("securetag/unsupported", f"{count:,} files of {language}: no rule reads them", level="note")
    return notes


def _location(path: str) -> Location:
    uri = quote(path.lstrip("/") or ".", safe="/@!$&'()*+,;=~", errors="replace")
    return Location(
        physical_location=PhysicalLocation(
            artifact_location=ArtifactLocation(uri=uri, uri_base_id="%SRCROOT%")
        )
    )
