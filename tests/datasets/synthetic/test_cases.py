"""Synthetic cases: the code, the sampling, and that only the seed changes them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from difflib import ndiff
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.datasets.synthetic import oracle, sample
from securetag.datasets.synthetic.cases import make_synthetic_rows, path_of
from securetag.datasets.synthetic.child import Trial
from securetag.datasets.synthetic.flows import DEFAULT_NAMES
from securetag.datasets.synthetic.frameworks import FRAMEWORKS, PACKAGES, UNSEEN_FRAMEWORK
from securetag.datasets.synthetic.guards import GUARDS, UNSEEN_FAMILY, Guard, guards_of
from securetag.datasets.synthetic.holdout import (
    BUCKETS,
    UNSEEN_MISTAKES,
    Parts,
    bucket_of,
    group_of,
    is_unseen_cell,
    quotas,
)
from securetag.datasets.synthetic.modules import draw_scaffold
from securetag.datasets.synthetic.sample import Pair
from securetag.datasets.synthetic.shapes import (
    MODES,
    SHAPES,
    Function,
    Plan,
    list_modes,
    list_shapes,
    negate,
    write_function,
)
from securetag.datasets.synthetic.sinks import SINKS, make_literal, quote
from securetag.datasets.synthetic.vocabulary import load_vocabulary
from securetag.datasets.triage_rows import PromptStyle
from securetag.settings.sections import SemgrepSettings

#: Names that the plans of these tests use.
CORE_NAMES = {"name", "clean", "page", "show", "perform", "Service", *DEFAULT_NAMES}
NAMES = ["alice", "''", "x y", "<b>"]


def spellings(guard: Guard) -> list[str]:
    return [text.format(x="name", a="alice", b="bob") for text in (guard.sound, *guard.weak)]


@pytest.mark.parametrize(
    "guard", [guard for guard in GUARDS if guard.kind != "flow"], ids=lambda guard: guard.name
)
def test_every_spelling_of_a_guard_is_an_expression_on_the_variable(guard: Guard) -> None:
    for text in spellings(guard):
        names = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
        assert "name" in names or text.startswith("hashlib.sha256(b'')"), text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"{guard.name} {number}")
        for guard in GUARDS
        if guard.kind == "check"
        for number, text in enumerate(spellings(guard))
    ],
)
def test_a_negation_is_the_opposite(text: str) -> None:
    simple = "import" not in text and not any(
        word in text for word in ("os.", "Path", "url", "safe_join", "iri")
    )
    turned = negate(text)
    compile(turned, "<test>", "eval")
    assert turned != text
    if simple:
        import re
        import string

        for name in NAMES:
            world = {"re": re, "string": string, "name": name}
            assert bool(eval(text, dict(world))) is not bool(eval(turned, dict(world))), (text, turned, name)


@given(
    st.text(alphabet=st.characters(exclude_characters="\\\n\r{}%", exclude_categories=("C",))),
    st.sampled_from(["concat", "fstring", "percent", "format"]),
)
def test_every_spelling_of_a_literal_gives_the_same_text(around: str, spelling: str) -> None:
    text = f"a{around}§{around}z"
    if "'" in around and '"' in around:
        return
    assert eval(make_literal(text, "v", spelling), {"v": "VALUE"}) == text.replace("§", "VALUE", 1)


@given(st.text(alphabet=st.characters(exclude_characters="\\\n\r", exclude_categories=("C",))))
def test_a_quoted_text_reads_back(text: str) -> None:
    assert ast.literal_eval(quote(text)) == text


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    sink = draw(st.sampled_from(SINKS))
    framework = draw(st.sampled_from([*FRAMEWORKS, *PACKAGES]))
    source = draw(st.sampled_from(sorted(framework.sources)))
    # Those of a route have frameworks, and spellings of a handler, of their own.
    guard = draw(st.sampled_from([each for each in guards_of(sink.cwe) if each.family != "route"]))
    return Plan(
        framework=framework,
        source=source,
        sink=sink,
        guard=guard,
        shape=draw(st.sampled_from(list_shapes(framework, source, sink, guard))),
        function="show",
        variable="name",
        result="clean",
        other="page",
        has_other=draw(st.booleans()),
        refusal=draw(st.sampled_from(framework.refusals)),
        spelling=draw(st.sampled_from(["concat", "fstring", "percent", "format"])),
        weak=draw(st.integers(0, 3)),
        second=draw(st.sampled_from([other for other in guards_of(sink.cwe) if other.kind != "flow"])),
        has_log=draw(st.booleans()),
        opening=draw(st.sampled_from(["", "present", "text", "default"])) if framework in PACKAGES else "",
        scaffold=draw(
            st.none()
            | st.builds(
                lambda seed: draw_scaffold(
                    Random(seed),
                    load_vocabulary(),
                    framework,
                    {"name", "clean", "page"},
                    framework.refusals[0],
                ),
                st.integers(0, 1_000_000),
            )
        ),
    )


@settings(max_examples=400)
@given(plans())
def test_every_plan_is_a_function_with_evidence_on_its_lines(plan: Plan) -> None:
    texts = {}
    meant = ("sound",) if plan.guard.kind == "flow" else ("sound", "combined")
    for mode in (*meant, *list_modes(plan)):
        function = write_function(plan, mode)
        compile(function.code, "<test>", "exec")
        # A module has one kind of quotes or the other.
        lines = function.code.replace("'", '"').splitlines()
        assert len(lines) <= (25 if plan.scaffold is None else 110)
        by_role = {span.role: lines[span.first - 1] for span in function.evidence}
        assert set(by_role) == {"source", "guard", "sink"}
        source = plan.framework.sources[plan.source].format(k=plan.variable, r=plan.record)
        begins = f"{plan.variable} = {source}" if source else "def show("
        assert by_role["source"].strip().startswith(begins)
        call = plan.sink.carrier or (
            plan.framework.page if plan.sink.cwe == "CWE-79" else plan.framework.redirect
        )
        begins = call.partition("{v}")[0].removeprefix("return ").strip().replace("'", '"')
        assert begins in by_role["sink"]
        texts[mode] = function.code
    assert texts["sound"] != texts.get("inverted")
    assert texts["sound"] != texts.get("dead")


def test_modes_are_those_that_apply() -> None:
    assert set(MODES["transform"]) < set(MODES["check"])


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return sample.sample_pairs(240, 3).pairs


def test_a_pair_is_one_plan_with_both_labels(pairs: list[Pair]) -> None:
    assert len(pairs) >= 120
    for pair in pairs:
        assert pair.true.mode != pair.false.mode
        assert write_function(pair.plan, pair.true.mode).code == pair.true.code
        assert write_function(pair.plan, pair.false.mode).code == pair.false.code
        true, false = pair.true.code.splitlines(), pair.false.code.splitlines()
        changed = [line for line in ndiff(true, false) if line[0] in "+-"]
        assert len(changed) <= 12, "a pair's functions differ in the guard alone"


def test_every_function_has_another_path(pairs: list[Pair]) -> None:
    paths = Counter(path_of(function) for pair in pairs for function in (pair.true, pair.false))
    assert max(paths.values()) == 1


def test_held_out_parts_are_in_their_axis_only(pairs: list[Pair]) -> None:
    for pair in pairs:
        plan = pair.plan
        is_in_axis = {
            "unseen_sink": plan.sink.unseen,
            "unseen_framework": plan.framework.name == UNSEEN_FRAMEWORK,
            "unseen_guard": plan.guard.unseen,
            "unseen_cell": not plan.guard.unseen
            and is_unseen_cell(plan.guard, shape=plan.shape, sink=plan.sink.name),
        }
        modes = {pair.true.mode, pair.false.mode}
        is_in_axis["unseen_mistake"] = bool(modes & UNSEEN_MISTAKES)
        assert [axis for axis, is_held_out in is_in_axis.items() if is_held_out] == (
            [pair.bucket] if pair.bucket.startswith("unseen") else []
        )
        assert plan.guard.family != UNSEEN_FAMILY or pair.bucket == "unseen_guard"
        # The guard that a combined function adds is a training guard on every axis.
        assert plan.second is None or not plan.second.unseen
        assert plan.second is None or not is_unseen_cell(plan.second, shape=plan.shape, sink=plan.sink.name)


def test_a_fifth_of_the_cells_of_training_guards_is_held_out() -> None:
    training_guards = [guard for guard in GUARDS if not guard.unseen]
    by_shape = [is_unseen_cell(guard, shape=shape, sink="") for guard in training_guards for shape in SHAPES]
    by_sink = [
        is_unseen_cell(guard, shape="", sink=sink.name)
        for guard in training_guards
        for sink in SINKS
        if guard in guards_of(sink.cwe)
    ]
    for held_out in (by_shape, by_sink):  # each also counts the one cell of its guard that isn't meant
        assert 0.3 < sum(held_out) / len(held_out) < 0.42


def test_the_length_does_not_predict_the_label(pairs: list[Pair]) -> None:
    for bucket in BUCKETS:
        steps = Counter[int]()
        for pair in pairs:
            if pair.bucket == bucket:
                steps[len(pair.true.code) // 10] += 1
                steps[len(pair.false.code) // 10] -= 1
        assert max(map(abs, steps.values()), default=0) <= 1


def test_no_cell_has_more_than_a_hundredth(pairs: list[Pair]) -> None:
    for part in ("shape", "sink"):
        cells = Counter(
            (pair.plan.guard.name, getattr(pair.plan, part) if part == "shape" else pair.plan.sink.name)
            for pair in pairs
        )
        assert max(cells.values()) <= max(1, int(240 * 0.01) // 2)


def test_every_bucket_gets_its_quota(pairs: list[Pair]) -> None:
    counts = Counter(pair.bucket for pair in pairs)
    for bucket, wanted in quotas(240).items():
        assert counts[bucket] >= wanted, bucket


@given(st.integers(0, 200_000))
def test_quotas_add_up(rows: int) -> None:
    assert sum(quotas(rows).values()) == rows // 2
    assert set(quotas(rows)) == set(BUCKETS)
    assert min(quotas(rows).values()) >= 0


def test_parts_say_how_much_is_held_out() -> None:
    wanted = quotas(1_600, Parts(validation=0.25, in_distribution=0.25, unseen=0.01))
    assert sum(wanted.values()) == 800
    assert (wanted["validation"], wanted["in_distribution"], wanted["unseen_sink"]) == (200, 200, 8)


def test_held_out_mistakes_are_wanted_only_where_they_may_be_written() -> None:
    assert quotas(1_000)["unseen_mistake"] == 20
    wanted = quotas(1_000, mistakes=("dead", "wrong-variable"))
    assert wanted["unseen_mistake"] == 0
    assert sum(wanted.values()) == 500


def test_only_the_mistakes_that_are_asked_for_are_written() -> None:
    pairs = sample.sample_pairs(20, 4, mistakes=("dead", "wrong-variable")).pairs
    modes = {function.mode for pair in pairs for function in (pair.true, pair.false)}
    assert len(pairs) >= 10
    assert modes <= {"sound", "dead", "wrong-variable"}
    assert {pair.false.mode for pair in pairs} <= {"sound", "dead"}


@given(plans())
def test_a_split_depends_on_the_group_only(plan: Plan) -> None:
    renamed = msgspec.structs.replace(
        plan, function="other", variable="term", result="safe", weak=plan.weak + 1
    )
    assert group_of(renamed) == group_of(plan)
    assert bucket_of(renamed) == bucket_of(plan)


def test_another_seed_gives_other_functions(pairs: list[Pair]) -> None:
    other = sample.sample_pairs(40, 4).pairs
    mine = {pair.true.code for pair in pairs}
    assert sum(pair.true.code in mine for pair in other) < len(other) / 4


@pytest.mark.system
def test_a_larger_sample_keeps_the_split_of_every_group(pairs: list[Pair]) -> None:
    larger = sample.sample_pairs(280, 3).pairs
    buckets = {pair.group: pair.bucket for pair in pairs}
    assert [pair.group for pair in larger if buckets.get(pair.group, pair.bucket) != pair.bucket] == []


@pytest.mark.system
def test_the_sample_does_not_depend_on_hash_seed_folder_or_zone(tmp_path: Path) -> None:
    script = (
        "import hashlib\nfrom securetag.datasets.synthetic.sample import sample_pairs\n"
        "text = ''.join(p.true.code + p.false.code + p.bucket for p in sample_pairs(40, 1).pairs)\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    digests = set()
    for hash_seed, zone in (("1", "Asia/Tokyo"), ("2", "America/Lima")):
        folder = tmp_path / hash_seed
        folder.mkdir()
        environment = {"PYTHONHASHSEED": hash_seed, "TZ": zone, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.system
def test_a_function_without_a_label_is_counted_and_drops_no_other_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_written = sample.trial_of
    burning: list[Trial] = []

    def burn_once(plan: Plan, function: Function) -> Trial:
        trial = as_written(plan, function)
        if len(burning) == 1 or "async" in trial.code:
            return trial
        name = trial.entry.rsplit(".", 1)[-1]
        loop = r"\g<0>\g<1>    sum(range(10**13))\n"
        code, number = re.subn(rf"(?m)^( *)def {name}\([^\n]*:\n", loop, trial.code, count=1)
        if not number:
            return trial
        burning.append(msgspec.structs.replace(trial, code=code))
        return burning[0]

    monkeypatch.setattr(sample, "trial_of", burn_once)
    messages: list[str] = []
    monkeypatch.setattr(oracle, "PROGRESS_STEP", 50)
    synthetic = make_synthetic_rows(
        40,
        3,
        PromptStyle("compact", "en"),
        work=tmp_path,
        semgrep=SemgrepSettings(),
        progress=messages.append,
    )
    assert burning
    assert [(drop.detail, drop.n) for drop in synthetic.drops if drop.reason == "synthetic_not_judged"] == [
        ("out of CPU time", 1)
    ]
    assert len(synthetic.rows) >= 36
    assert {row.construction.oracle for row in synthetic.rows if row.construction} == {oracle.ORACLE_VERSION}
    assert messages[0].endswith("synthetic functions executed")


def test_a_stream_of_plans_alternates_classes_and_guards() -> None:
    stream = sample._plans("train", 1)
    drawn = [next(stream) for _ in range(900)]
    assert len({plan.sink.cwe for plan in drawn}) == 7
    seen = {guard.name for guard in GUARDS if not guard.unseen}
    assert len({plan.guard.name for plan in drawn} & seen) >= 0.95 * len(seen)
    assert {plan.shape for plan in drawn} == set(SHAPES)
    # Half of the functions are a package's, but none where a demo's two mistakes are learned.
    assert 0.4 <= sum(plan.framework in PACKAGES for plan in drawn) / len(drawn) <= 0.6
    assert all(any(plan.framework == package for plan in drawn) for package in PACKAGES)
    narrow = sample._plans("train", 1, has_packages=False)
    assert not any(next(narrow).framework in PACKAGES for _ in range(200))
