"""Rules that follow the same data are run as one, and find the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import ToolError
from securetag.records import JsonObject
from securetag.rules.pack import read_rules
from securetag.scanning.merging import MERGED_PREFIX, MergedRules
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

SOURCE = {"patterns": [{"pattern": "$R.query"}]}
OTHER_SOURCE = {"pattern": "$R.body"}


def taint_rule(name: str, *sinks: object, **fields: object) -> JsonObject:
    return {
        "id": f"securetag.javascript.{name}",
        "languages": ["javascript"],
        "severity": "ERROR",
        "message": name,
        "mode": "taint",
        "pattern-sources": [SOURCE],
        "pattern-sinks": list(sinks),
        **fields,
    }


def unmark(sink: JsonObject) -> JsonObject:
    """Return a sink of a merged rule without the pattern that names its rule."""
    *patterns, marker = sink["patterns"]
    assert set(marker) == {"pattern-regex"}
    assert set(sink) <= {"patterns", "requires"}
    return patterns[0] if set(patterns[0]) == {"pattern-either"} else {"patterns": patterns}


def sources_of(sink: JsonObject, sources: list[JsonObject]) -> list[JsonObject]:
    """Return the sources whose data a sink of a merged rule asks for, without their labels."""
    labels = sink["requires"].split(" or ") if "requires" in sink else [None]
    chosen = [source for source in sources if source.get("label") in labels]
    plain = [{name: value for name, value in source.items() if name != "label"} for source in chosen]
    return sorted(plain, key=json.dumps, reverse=True)


sinks = st.lists(
    st.one_of(
        st.sampled_from(["eval(...)", "$X.send(...)"]).map(lambda code: {"pattern": code}),
        st.just({"pattern-either": [{"pattern": "a(...)"}, {"pattern": "b(...)"}]}),
        st.just({"patterns": [{"pattern": "$F($A)"}, {"focus-metavariable": "$A"}]}),
        st.just({"pattern": "c(...)", "requires": "A"}),
        st.just({"pattern": "d(...)", "exact": True}),
    ),
    min_size=1,
    max_size=3,
)
shared_fields = st.fixed_dictionaries(
    {},
    optional={
        "pattern-sanitizers": st.sampled_from([[{"pattern": "quote(...)"}], [{"pattern": "int(...)"}]]),
        "pattern-propagators": st.just([{"pattern": "$A.push($B)", "from": "$B", "to": "$A"}]),
        "options": st.just({"taint_assume_safe_numbers": True}),
        "paths": st.just({"include": ["*.js"]}),
        "mode": st.just("search"),
        "pattern-sources": st.sampled_from(
            [[OTHER_SOURCE], [SOURCE, OTHER_SOURCE], [SOURCE, {**SOURCE, "label": "A"}]]
        ),
    },
)


@given(st.lists(st.tuples(sinks, shared_fields), max_size=8))
def test_a_merged_rule_has_all_sources_and_sinks_of_its_parts_and_what_all_of_them_share(
    drawn: list[tuple[list[JsonObject], JsonObject]],
) -> None:
    rules = {
        f"securetag.javascript.r{number}": taint_rule(f"r{number}", *listed, **fields)
        for number, (listed, fields) in enumerate(drawn)
    }
    merged = MergedRules(rules.values())
    names = [name for rule in merged.rules for name in merged.members(rule["id"])]
    assert sorted(names) == sorted(rules)
    for rule in merged.rules:
        parts = [rules[name] for name in merged.members(rule["id"])]
        if len(parts) == 1:
            assert rule == parts[0]
            continue
        originals = [sink for part in parts for sink in part["pattern-sinks"]]
        assert all(not {"requires", "exact"} & set(sink) for sink in originals)
        # One that was a single pattern has become a list of one beside the marker.
        assert [unmark(sink) for sink in rule["pattern-sinks"]] == [
            {"patterns": [sink]} if set(sink) == {"pattern"} else sink for sink in originals
        ]
        seen = iter(rule["pattern-sinks"])
        for part in parts:
            for _ in part["pattern-sinks"]:
                assert sources_of(next(seen), rule["pattern-sources"]) == part["pattern-sources"]
            for field in ("mode", "pattern-sanitizers", "pattern-propagators"):
                assert part.get(field) == rule.get(field)
            assert (part.get("options"), part.get("paths")) == (rule.get("options"), rule.get("paths"))


def test_most_of_our_traced_rules_are_merged() -> None:
    rules = read_rules()
    merged = MergedRules(rules.values())
    assert sorted(name for rule in merged.rules for name in merged.members(rule["id"])) == sorted(rules)
    traced = [rule for rule in rules.values() if rule.get("mode") == "taint"]
    left = [rule for rule in merged.rules if rule.get("mode") == "taint"]
    assert len(left) < len(traced) / 3


def test_a_rule_whose_metavariables_could_be_taken_for_markers_stays_alone() -> None:
    odd = taint_rule("odd", {"pattern": "$_RULE(...)"})
    merged = MergedRules([odd, taint_rule("a", {"pattern": "a(...)"})])
    assert odd in merged.rules


def test_a_result_without_a_rule_is_an_error() -> None:
    merged = MergedRules([taint_rule("a", {"pattern": "a(...)"}), taint_rule("b", {"pattern": "b(...)"})])
    (rule,) = merged.rules
    result = {"check_id": rule["id"], "path": "a.js", "extra": {"message": rule["message"]}}
    report = {"version": "1", "results": [result], "errors": [], "paths": {"scanned": ["a.js"]}}
    assert MERGED_PREFIX in rule["id"]
    with pytest.raises(ToolError, match=r"no rule for a result in a\.js"):
        merged.expand(json.dumps(report).encode())


def run(root: Path, out: Path, *rules: JsonObject) -> ScannerRun:
    pack = out.with_suffix(".json")
    pack.write_text(json.dumps({"rules": rules}))
    return scan(root, pack=pack, settings=SemgrepSettings(jobs=1), out=out, catalogue={}).check_complete()


def places(outcome: ScannerRun) -> set[tuple[str, str, int]]:
    return {(finding.rule_id, finding.path, finding.start_line) for finding in outcome.findings}


@pytest.mark.system
def test_a_sink_of_a_merged_rule_takes_the_sources_of_its_own_rule_alone(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.js").write_text(
        "f = (r) => {\n  a(r.query);\n  a(r.body);\n  b(r.query);\n  b(r.body + r.query);\n}\n"
    )
    rules = [
        taint_rule("first", {"pattern": "a(...)"}),
        taint_rule(
            "second", {"pattern": "b(...)"}, {"pattern": "a(...)"}, **{"pattern-sources": [OTHER_SOURCE]}
        ),
        taint_rule("third", {"pattern": "b(...)"}, **{"pattern-sources": [SOURCE, OTHER_SOURCE]}),
    ]
    (merged_rule,) = MergedRules(rules).rules
    assert [source["label"] for source in merged_rule["pattern-sources"]] == ["S0", "S1"]
    merged = run(root, tmp_path / "merged", *rules)
    names = [rule["id"] for rule in rules]
    by_line = {(line, names.index(rule)) for rule, _, line in places(merged)}
    assert by_line == {(2, 0), (3, 1), (4, 2), (5, 1), (5, 2)}
    assert len(merged.findings) == 5


BODY = b"f = (req) => {\n  a(req.query);\n  b(req.query + 1);\n  c(1);\n  x.both(req.query, 2);\n}\n"


@pytest.mark.system
def test_merged_rules_find_what_single_ones_find_in_files_of_every_encoding(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    contents = {
        "plain": BODY,
        "latin": b"// caf\xe9 \xff\xfe\n" + BODY,
        "marked": b"\xef\xbb\xbf" + BODY,
        "windows": BODY.replace(b"\n", b"\r\n"),
        "emoji": "/*😀*/\n".encode() + BODY,
        "dollar": b"$_RULE_0000 = 1;\n" + BODY,
        "empty-line": b"\n" + BODY,
        "nul": BODY + b"// \0\n",
        "long": b"/*" + b"x" * 999_000 + b"*/\n" + BODY,
    }
    for name, content in contents.items():
        (root / f"{name}.js").write_bytes(content)
    # Two of them report the same place, two the same line.
    rules = [
        taint_rule("first", {"pattern": "a(...)"}, {"pattern": "$X.both(...)"}),
        taint_rule("second", {"pattern-either": [{"pattern": "b(...)"}, {"pattern": "$X.both(...)"}]}),
        taint_rule("third", {"patterns": [{"pattern": "$X.both($A, 2)"}, {"focus-metavariable": "$A"}]}),
    ]
    merged = run(root, tmp_path / "merged", *rules)
    single = [run(root, tmp_path / str(number), rule) for number, rule in enumerate(rules)]
    assert places(merged) == set().union(*map(places, single))
    assert len(merged.findings) == sum(len(outcome.findings) for outcome in single) == 5 * len(contents)
    assert MERGED_PREFIX.encode() not in merged.stdout_path.read_bytes()


@pytest.mark.system
def test_merged_rules_that_time_out_are_run_one_by_one(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.js").write_bytes(BODY * 200)
    rules = [taint_rule("first", {"pattern": "a(...)"}), taint_rule("second", {"pattern": "b(...)"})]
    pack = tmp_path / "pack.json"
    pack.write_text(json.dumps({"rules": rules}))
    settings = SemgrepSettings(jobs=1, rule_timeout_s=0.001)
    outcome = scan(root, pack=pack, settings=settings, out=tmp_path / "out", catalogue={}).check_complete()
    assert len(outcome.findings) == 400
    assert outcome.coverage.timeouts == []
