"""A person's verdict on a finding, scrubbed: what may leave the database for training.

The Record's id comes from scrubbed content, so that two installations with the same finding build
the same row. Who gave the verdict, for which tenant and under which consent is known to lineage alone.
"""

from __future__ import annotations

import hashlib

import msgspec

from securetag.records import (
    Decision,
    Facts,
    Finding,
    HarvestedVerdict,
    Label,
    Origin,
    Record,
    content_id,
    rewrite_slice,
)
from securetag.scanning.secrets.mask import mask_finding
from securetag.scrubbing import scrub

SOURCE = "securetag-harvest"
LICENCE = "LicenseRef-Securetag-Tenant-Consent"


def to_verdict(
    *,
    finding: Finding,
    label: Label,
    saw_model: bool,
    model_decision: Decision | None,
    scripted: bool,
    reviewer: str,
    origin: Origin,
    project: str = "",
    bulk: str = "",
) -> HarvestedVerdict:
    """Scrub a finding and the reviewer's name. Nothing of the arguments but numbers passes unscrubbed;
    `project` is a name made of scrubbed content already (`scrubbed(oldest finding).fingerprint`).
    """
    clean = scrub_finding(finding)
    record = Record.of(
        source=SOURCE,
        publisher="Securetag",
        key=clean.fingerprint,
        title=clean.title,
        text=f"```{clean.language}\n{clean.snippet}\n```",
        lang="und",
        url="",
        edition="1",
        licence=LICENCE,
        facts=Facts(kind="finding", severity=clean.severity, cwe=[clean.cwe]),
        file_sha256=hashlib.sha256(clean.snippet.encode()).hexdigest(),
        locator=f"{clean.path}:{clean.start_line}",
    )
    return HarvestedVerdict(
        record=record,
        finding=clean,
        label=label,
        saw_model=saw_model,
        model_decision=model_decision,
        scripted=scripted,
        reviewer=make_pseudonym(reviewer, origin.tenant_id or ""),
        origin=origin,
        project=project,
        bulk=bulk,
    )


def scrub_finding(finding: Finding) -> Finding:
    """The finding with every text masked as in a scan, then scrubbed, and a fingerprint of the scrubbed code.

    The scanner's own fingerprint is a digest over the code as it was: of a snippet that differs from
    the scrubbed one by a short password, it would let that be guessed.
    """
    finding = mask_finding(finding)
    texts = {
        name: scrub(getattr(finding, name)).text
        for name in ("title", "message", "path", "snippet", "scope", "recommendation")
    }
    lines = rewrite_slice(finding.code_slice, lambda code: scrub(code).text)
    mark = "v1:" + content_id([finding.rule_id, texts["snippet"], texts["scope"], _flagged(finding)])
    return msgspec.structs.replace(finding, fingerprint=mark, code_slice=lines, **texts)


def _flagged(finding: Finding) -> list[int]:
    """The flagged lines counted in the snippet, so that moving a function changes nothing."""
    return [finding.start_line - finding.snippet_line, finding.end_line - finding.snippet_line]


def make_pseudonym(reviewer: str, tenant: str) -> str:
    """A name that is stable for one reviewer of one tenant, salted by the tenant's id."""
    return "reviewer-" + hashlib.sha256(f"{tenant}/{reviewer}".encode()).hexdigest()[:12]
