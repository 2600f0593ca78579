"""The checks of a release as Dagster asset checks, each with the offending ids in its metadata."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from securetag.assets.metadata import table
from securetag.datasets.releases.checks import BLOCKING, MEANINGS, Check

#: Ids that a check's table shows; the count beside it has them all.
SHOWN = 200


def specs(asset: str) -> list[dg.AssetCheckSpec]:
    """What the asset will report, and which of it stops what comes after."""
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=name in BLOCKING, description=meaning)
        for name, meaning in MEANINGS.items()
    ]


def results(checks: Sequence[Check]) -> list[dg.AssetCheckResult]:
    """Failed checks that don't block are warnings."""
    return [
        dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            description=check.says,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            metadata={
                "offending": len(check.offending),
                "ids": table(["id"], [(name,) for name in check.offending[:SHOWN]]),
            },
        )
        for check in checks
    ]
