"""The registry under any sequence of changes, and under processes that change it at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from securetag.errors import ConflictError, InputError, NotFoundError
from securetag.serving.registry import GatePass, ModelEntry, Registry

IDS = [digit * 64 for digit in "abcd"]
ALIASES = ["securetag-v1", "securetag-base"]


def entry(model_id: str, folder: Path, *, sha256: str = "0" * 64) -> ModelEntry:
    (folder / f"{model_id[:4]}.gguf").touch()
    return ModelEntry(
        model_id=model_id,
        path=f"{model_id[:4]}.gguf",
        file_sha256=sha256,
        base="b",
        quantisation="Q8_0",
        licence="Apache-2.0",
    )


class Changes(RuleBasedStateMachine):
    """Against a model of it: a stack of ids for each alias."""

    @initialize(folder=st.uuids())
    def start(self, folder: object) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory(prefix=f"{folder}")
        self.path = Path(self.folder.name)
        self.known: set[str] = set()
        self.stacks: dict[str, list[str]] = {}
        self.marked: set[str] = set()
        self.changes = 0

    @property
    def registry(self) -> Registry:
        return Registry(self.path)  # a new process each time: nothing may live in memory

    @rule(model_id=st.sampled_from(IDS))
    def add(self, model_id: str) -> None:
        assert self.registry.add(entry(model_id, self.path)).model_id == model_id
        self.known.add(model_id)

    @rule(alias=st.sampled_from(ALIASES), model_id=st.sampled_from(IDS))
    def publish(self, alias: str, model_id: str) -> None:
        if model_id not in self.known:
            with pytest.raises(NotFoundError):
                self.registry.publish(alias, model_id)
            return
        assert self.registry.publish(alias, model_id).model_id == model_id
        stack = self.stacks.setdefault(alias, [])
        if stack[-1:] != [model_id]:
            stack.append(model_id)
            self.changes += 1

    @rule(alias=st.sampled_from(ALIASES))
    def rollback(self, alias: str) -> None:
        stack = self.stacks.get(alias, [])
        left = [at for at, known in enumerate(stack[:-1]) if known not in {*self.marked, stack[-1]}]
        if not left:
            with pytest.raises((NotFoundError, ConflictError)):
                self.registry.rollback(alias)
            return
        del stack[left[-1] + 1 :]
        self.changes += 1
        assert self.registry.before(alias).model_id == stack[-1]
        assert self.registry.rollback(alias).model_id == stack[-1]

    @rule(model_id=st.sampled_from(IDS))
    def mark(self, model_id: str) -> None:
        if model_id in self.known:
            assert self.registry.mark(model_id, "1f") == self.registry.get(model_id)
            self.marked.add(model_id)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "path"):
            return
        assert {e.model_id for e in self.registry.list()} == self.known
        for alias in ALIASES:
            if alias in self.stacks:
                assert self.registry.resolve(alias).model_id == self.stacks[alias][-1]
            else:
                with pytest.raises(NotFoundError):
                    self.registry.resolve(alias)
        assert sum(len(alias.log) for alias in self.registry.aliases().values()) == self.changes
        assert [
            p.name for p in self.path.iterdir() if ".registry.json." in p.name and "lock" not in p.name
        ] == []

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


Changes.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestChanges = Changes.TestCase


def test_processes_that_publish_at_once_lose_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for model_id in IDS:
        registry.add(entry(model_id, tmp_path))
    code = (
        "import sys; from pathlib import Path; from securetag.serving.registry import Registry\n"
        "r = Registry(Path(sys.argv[1]))\n"
        "for n in range(20): r.publish(f'alias-{sys.argv[2]}-{n}', sys.argv[2] * 64)"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), digit]) for digit in "abcd"]
    assert [child.wait() for child in children] == [0] * 4
    assert len(registry.aliases()) == 80


@given(text=st.text(max_size=90))
def test_a_name_that_could_be_a_path_or_an_option_is_no_alias(text: str) -> None:
    registry = Registry(Path("/nowhere/at/all"))
    parts = text.split("/")  # a namespace may stand before the name
    names = [part.replace("-", "a").replace(".", "a").replace("_", "a") for part in parts]
    if len(parts) > 2 or not all(name.isalnum() and name.isascii() for name in names):
        with pytest.raises(InputError):
            registry.publish(text, IDS[0])


def test_what_can_not_be_a_model_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    good = entry(IDS[0], tmp_path)
    registry.add(good)
    with pytest.raises(ConflictError, match="another file"):
        registry.add(entry(IDS[0], tmp_path, sha256="1" * 64))
    with pytest.raises(InputError, match="no model id"):
        registry.add(entry("xyz", tmp_path))
    (tmp_path / "bbbb.gguf").unlink(missing_ok=True)
    with pytest.raises(NotFoundError, match="no model file"):
        registry.add(
            ModelEntry(
                model_id=IDS[1], path="bbbb.gguf", file_sha256="0", base="b", quantisation="q", licence="l"
            )
        )
    assert registry.get("aaaa").created_at.endswith("Z")
    for unknown in ("", "f"):
        with pytest.raises(NotFoundError):
            registry.get(unknown)


def test_a_broken_registry_says_where_and_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text("{")
    with pytest.raises(InputError, match="no model registry"):
        Registry(tmp_path).add(entry(IDS[0], tmp_path))
    assert (tmp_path / "registry.json").read_text() == "{"


def test_a_copy_for_another_machine_says_which_models_have_passed_a_gate_and_nothing_else(
    tmp_path: Path,
) -> None:
    registry = Registry(tmp_path / "models")
    registry.models_dir.mkdir()
    gated, other = "a" * 64, "b" * 64
    for model_id in (gated, other):
        registry.add(entry(model_id, tmp_path / "models", sha256=model_id))
        registry.record_served(f"ollama:{model_id}", model_id)
        registry.publish(f"name-{model_id[0]}", model_id)
    gate_pass = GatePass(gate="production", release="r", base_id="b", at="2026-11-28T00:00:00Z")
    registry.record_gate(gated, gate_pass)
    copy = tmp_path / "registry.json"
    copy.write_text(registry.export_gates())
    elsewhere = Registry(tmp_path / "elsewhere", file=copy)
    assert elsewhere.find_gate(f"ollama:{gated}", gated) == "production"
    assert elsewhere.find_gate(f"ollama:{gated}", other) == "none"
    assert [model.model_id for model in elsewhere.list()] == [gated]
    assert other not in copy.read_text()
    assert "name-" not in copy.read_text()
    assert str(tmp_path) not in copy.read_text()
