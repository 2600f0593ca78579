"""The benchmark of the worker compares a scan with Semgrep on the rules that the scan runs."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.worker import write_packs
from securetag.scanning.merging import MERGED_PREFIX, MergedRules


def test_the_stricter_pack_is_the_one_that_a_scan_runs(tmp_path: Path) -> None:
    single, merged = (json.loads(path.read_bytes())["rules"] for path in write_packs(tmp_path))
    assert not any(rule["id"].startswith(MERGED_PREFIX) for rule in single)
    ways_back = MergedRules(single)
    assert merged == ways_back.rules
    assert len(merged) < len(single)
    members = [name for rule in merged for name in ways_back.members(rule["id"])]
    assert sorted(members) == sorted(rule["id"] for rule in single)
