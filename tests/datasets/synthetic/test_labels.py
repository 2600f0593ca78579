"""A changed label of a fixed sample needs another version of the oracle."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from securetag.datasets.synthetic.guards import GUARDS

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("label_table", CHECKOUT / "tools" / "label_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_label_changed_under_this_version_of_the_oracle(tool: ModuleType) -> None:
    assert tool.problems(tool.read(), tool.measure()) == []


def test_every_guard_has_labels_of_both_kinds_in_the_table(tool: ModuleType) -> None:
    labels = tool.read().labels
    assert sorted(labels) == sorted(guard.name for guard in GUARDS)
    counts = [[int(number) for number in entry.split()[:3]] for entry in labels.values()]
    true, false, unlabelled = (sum(column) for column in zip(*counts, strict=True))
    assert min(true, false) > 0.15 * (true + false + unlabelled)


def test_a_changed_label_needs_a_new_version(tool: ModuleType) -> None:
    stored = tool.Table(oracle="oracle-7", labels={"int": "3 4 0 aaaa", "strip": "7 0 0 bbbb"})
    changed = stored._replace(labels={**stored.labels, "int": "4 3 0 cccc"})
    (problem,) = tool.problems(stored, changed)
    assert "labels changed under oracle-7 (guards int): raise ORACLE_VERSION" in problem
    raised = changed._replace(oracle="oracle-8")
    assert tool.problems(stored, raised) == ["the table is out of date: run tools/label_table.py"]
    assert tool.problems(raised, raised) == []


def test_a_new_guard_needs_no_new_version(tool: ModuleType) -> None:
    stored = tool.Table(oracle="oracle-7", labels={"int": "3 4 0 aaaa"})
    more = stored._replace(labels={**stored.labels, "strip": "7 0 0 bbbb"})
    assert tool.problems(stored, more) == ["the table is out of date: run tools/label_table.py"]


def test_the_tool_writes_no_changed_label_under_the_same_version(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tool.Table(oracle="oracle-7", labels={"int": "3 4 0 aaaa"})
    monkeypatch.setattr(tool, "TABLE", tmp_path / "labels.json")
    monkeypatch.setattr(tool, "measure", lambda: before)
    assert tool.main([]) == 0
    after = before._replace(labels={"int": "4 3 0 cccc"})
    monkeypatch.setattr(tool, "measure", lambda: after)
    assert tool.main([]) == tool.main(["--check"]) == 1
    assert tool.read() == before
    raised = after._replace(oracle="oracle-8")
    monkeypatch.setattr(tool, "measure", lambda: raised)
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == tool.main(["--check"]) == 0
    assert tool.read() == raised
