"""Rules that were renamed or split: their findings stay the same findings."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from securetag.errors import ToolError


def rule_key(rule_id: str) -> str:
    """Return the id under which findings of the rule are identified; the rule's own id for most rules."""
    return _aliases().get(rule_id, rule_id)


@cache
def _aliases() -> dict[str, str]:
    aliases = yaml.safe_load((files("securetag.rules") / "aliases.yaml").read_text(encoding="utf-8")) or {}
    for rule_id, key in aliases.items():
        if key in aliases:
            raise ToolError(
                f"aliases.yaml: {rule_id} is an alias of {key}, which is an alias itself",
                hint="Name the oldest id of the rule.",
            )
    return {str(rule_id): str(key) for rule_id, key in aliases.items()}
