"""What the api says of a suppression."""

from __future__ import annotations

from datetime import UTC, datetime

from securetag.db.models import Suppression
from securetag.records import JsonObject
from securetag.wire.api import SuppressionAnswer


def to_suppression_answer(row: Suppression) -> SuppressionAnswer:
    """From a row."""
    fields = {name: getattr(row, name) for name in SuppressionAnswer.model_fields if hasattr(row, name)}
    return SuppressionAnswer.model_validate(fields | describe_suppression(fields, row.path_glob))


def describe_suppression(fields: JsonObject, path: str | None) -> JsonObject:
    """Return the fields of an answer that are no columns, from those that are."""
    by_rule = "rule" if fields["rule_id"] is not None else "path"
    is_expired = fields["expires_at"] is not None and fields["expires_at"] <= datetime.now(UTC)
    return {
        "scope": "finding" if fields["finding_id"] is not None else by_rule,
        "path": path,
        "owner": fields["owner"] or fields["created_by"],
        "in_force": fields["lapsed_at"] is None and not is_expired,
    }
