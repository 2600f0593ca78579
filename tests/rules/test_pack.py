"""The compiled pack: one JSON file of all rules, the same bytes everywhere, never half written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from securetag.errors import ToolError
from securetag.rules import catalogue, compiled_pack, pack_sha256
from securetag.rules.pack import RULES, read_rules, rule_files, shared_lists


def test_the_file_is_named_by_its_content(tmp_path: Path) -> None:
    path = compiled_pack(tmp_path / "not" / "there")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pack_sha256()
    assert path.name == f"rules-{pack_sha256()[:16]}.json"
    assert [rule["id"] for rule in json.loads(path.read_bytes())["rules"]] == sorted(catalogue())


def test_prose_stays_out_of_the_scanner(tmp_path: Path) -> None:
    rules = json.loads(compiled_pack(tmp_path).read_bytes())["rules"]
    assert {key for rule in rules for key in rule["metadata"]} == {"cwe", "owasp", "severity", "confidence"}


def test_a_second_call_writes_nothing_and_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = compiled_pack(tmp_path)
    before = path.stat()
    assert compiled_pack(tmp_path).stat().st_ino == before.st_ino
    path.write_text('{"rules": []}')
    assert json.loads(compiled_pack(tmp_path).read_bytes())["rules"]
    assert list(tmp_path.iterdir()) == [path]


def test_callers_beside_each_other_see_whole_files(tmp_path: Path) -> None:
    def read(_: int) -> str:
        return hashlib.sha256(compiled_pack(tmp_path).read_bytes()).hexdigest()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(read, range(32))) == {pack_sha256()}


def test_the_digest_doesnt_depend_on_the_hash_seed() -> None:
    code = "from securetag.rules import pack_sha256; print(pack_sha256())"
    for seed in ("0", "1234"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        assert done.stdout.decode().strip() == pack_sha256()


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_taint_rules_of_a_language_share_their_sources(language: str) -> None:
    """A rule leaves local data out or not; what is sent from outside is a source of every traced rule."""
    shared = shared_lists(language)
    traced = {
        name: rule["pattern-sources"]
        for name, rule in read_rules().items()
        if rule.get("mode") == "taint" and rule["metadata"]["kind"] == "traced" and f".{language}." in name
    }
    outside = shared["outside"] if shared else next(iter(traced.values()), [])
    assert [name for name, sources in traced.items() if sources[: len(outside)] != outside] == []


def test_a_list_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for folder in ("python", "sources"):
        shutil.copytree(RULES / folder, tmp_path / folder)
    text = (tmp_path / "python" / "injection.yaml").read_text()
    (tmp_path / "python" / "injection.yaml").write_text(text.replace("[outside, local]", "[outsider]", 1))
    with pytest.raises(ToolError, match="no list 'outsider'") as caught:
        read_rules(tmp_path)
    assert caught.value.hint == "There are outside, local, propagators."


def test_no_python_rule_knows_a_sanitizer() -> None:
    """Guarded code must be reported, or triage never learns to judge guards."""
    rules = read_rules().items()
    assert [name for name, rule in rules if ".python." in name and "pattern-sanitizers" in rule] == []


def test_sanitizers_of_javascript_are_written_once() -> None:
    """Every taint rule has the common list first; what else it has is a named list, nothing of its file."""
    shared = shared_lists("javascript")
    common = shared["sanitizers"]
    others = [[], ["markup"], ["segment"], ["segment", "address"]]
    allowed = [sum((shared[name] for name in names), common) for names in others]
    taint = {name: rule for name, rule in read_rules().items() if rule.get("mode") == "taint"}
    lists = {name: rule.get("pattern-sanitizers") for name, rule in taint.items() if ".javascript." in name}
    assert lists
    assert [name for name, listed in lists.items() if listed not in allowed] == []


@pytest.mark.parametrize("path", rule_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_rule_files_read_as_plain_yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]


BROKEN = {
    "not valid YAML": "rules: [",
    "no list of rules": "rule: []",
    "repeated key 'id'": "rules:\n  - {id: a, id: b}\n",
    "no rules under": None,
    "metadata:": "rules:\n  - {id: securetag.python.a, languages: [python], message: A}\n",
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_file_is_named(message: str, tmp_path: Path) -> None:
    content = BROKEN[message]
    if content is not None:
        (tmp_path / "python").mkdir()
        (tmp_path / "python" / "bad.yaml").write_text(content)
    with pytest.raises(ToolError, match=message) as caught:
        read_rules(tmp_path)
    assert caught.value.hint
    assert content is None or "python/bad.yaml" in str(caught.value)


def test_a_rule_may_not_stand_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "python").mkdir(exist_ok=True)
        (tmp_path / "python" / f"{name}.yaml").write_text((RULES / "python" / "crypto.yaml").read_text())
    with pytest.raises(ToolError, match=r"stands twice, again in python/b\.yaml"):
        read_rules(tmp_path)
