"""What was withdrawn, and which rows of a release rest on it.

A withdrawal takes its subject out of the *inputs* of every later build: a row whose text another
origin gives as well is then built from that one, and stays. Releases that exist are immutable; they
are listed, with the models trained on them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from securetag.datasets.drops import Drop, DropReason
from securetag.datasets.feedback.harvest import SOURCE
from securetag.datasets.releases import lineage
from securetag.records import HarvestedVerdict


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """What may not enter a release any more."""

    #: Names of sources.
    sources: frozenset[str] = frozenset()
    #: Consents that ended with an erasure. A tenant that consents anew does so under another id.
    consents: frozenset[str] = frozenset()
    findings: frozenset[str] = frozenset()
    #: Consents that were withdrawn after the harvest.
    ended: frozenset[str] = frozenset()

    def covers(self, verdict: HarvestedVerdict) -> bool:
        """Was this verdict withdrawn?"""
        origin = verdict.origin
        return (
            origin.consent_id in self.consents
            or origin.finding_id in self.findings
            or verdict.record.source in self.sources
        )

    def filter_verdicts(
        self, verdicts: Sequence[HarvestedVerdict]
    ) -> tuple[list[HarvestedVerdict], list[Drop]]:
        """Return the verdicts that may still be trained on, and the count of the others."""
        remaining = [verdict for verdict in verdicts if not self.covers(verdict)]
        consented = [verdict for verdict in remaining if verdict.origin.consent_id not in self.ended]
        dropped = {
            DropReason.VERDICT_ERASED: len(verdicts) - len(remaining),
            DropReason.VERDICT_CONSENT_ENDED: len(remaining) - len(consented),
        }
        return consented, [
            Drop(reason=reason, source=SOURCE, task="triage", n=n) for reason, n in dropped.items() if n
        ]


def find_examples(
    release: Path,
    *,
    tenant: str | None = None,
    findings: Collection[str] | None = None,
    source: str | None = None,
    records: Collection[str] = (),
) -> list[str]:
    """Examples of a release with an origin in what is named, in order.

    A tenant is narrowed by `findings` (None: all of its own). A source's rows are known by its name,
    and by its `records` where another source's row took theirs in. Raises ReleaseError.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = lineage.read_lineage(release)
    if source is not None:
        chosen = pc.or_(
            pc.equal(table["source"], source),
            pc.is_in(table["record_id"], value_set=pa.array(sorted(records), type=pa.string())),
        )
    else:
        chosen = pc.equal(table["tenant_id"], tenant)
        if findings is not None:
            named = pa.array(sorted(findings), type=pa.string())
            chosen = pc.and_(chosen, pc.is_in(table["finding_id"], value_set=named))
    # A null in either column is no match.
    rows = table.filter(chosen, null_selection_behavior="drop")
    return sorted(set(rows["example_id"].to_pylist()))
