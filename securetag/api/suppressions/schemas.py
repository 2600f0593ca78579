"""What the api says of a suppression."""

from __future__ import annotations

from datetime import UTC, datetime

from securetag.db.models import Suppression
from securetag.wire.api import SuppressionAnswer


def to_suppression_answer(row: Suppression) -> SuppressionAnswer:
    """From a row."""
    by_rule = "rule" if row.rule_id is not None else "path"
    is_expired = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    return SuppressionAnswer.model_validate(
        {
            **{name: getattr(row, name) for name in SuppressionAnswer.model_fields if hasattr(row, name)},
            "scope": "finding" if row.finding_id is not None else by_rule,
            "path": row.path_glob,
            "owner": row.owner or row.created_by,
            "in_force": row.lapsed_at is None and not is_expired,
        }
    )
