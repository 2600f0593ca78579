"""What several rules and engines say of one place, as one finding with a confidence and a rank."""

from __future__ import annotations

from securetag.scanning.evidence.families import family_of
from securetag.scanning.evidence.merge import combine_evidence, rank_findings
from securetag.scanning.evidence.paths import PathClasses
from securetag.scanning.evidence.weights import Evidence, rank, weigh

__all__ = ["Evidence", "PathClasses", "combine_evidence", "family_of", "rank", "rank_findings", "weigh"]
