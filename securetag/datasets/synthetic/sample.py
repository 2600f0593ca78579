"""Chooses which functions to write: deterministic, seeded, balanced by construction.

Rows come in contrastive pairs: one plan, two modes, one true and one false positive. So whatever
two functions of a pair share (guard, sink, framework, source, shape, names) says nothing about the
label, and a lookup by any of it stays at one half.

Pairs are also chosen so that long and short functions are as often true as false. `holdout` decides
which split a pair is in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import msgspec

from securetag.datasets.synthetic import oracle
from securetag.datasets.synthetic.child import Outcome, Trial
from securetag.datasets.synthetic.frameworks import FRAMEWORKS, PACKAGES, RECORDS, UNSEEN_FRAMEWORK
from securetag.datasets.synthetic.guards import Guard, guards_of
from securetag.datasets.synthetic.holdout import (
    BUCKETS,
    MAX_CELL_SHARE,
    UNSEEN_MISTAKES,
    Parts,
    bucket_of,
    group_of,
    is_unseen_cell,
    mistakes_of,
    plan_bucket,
    quotas,
)
from securetag.datasets.synthetic.modules import draw_scaffold
from securetag.datasets.synthetic.reading import Opening
from securetag.datasets.synthetic.routes import list_frameworks
from securetag.datasets.synthetic.search import MIN_INPUTS
from securetag.datasets.synthetic.shapes import (
    Function,
    Plan,
    list_modes,
    list_shapes,
    source_of,
    write_function,
)
from securetag.datasets.synthetic.sinks import CLASSES, SINKS, Sink, choose_spelling, make_literal
from securetag.datasets.synthetic.vocabulary import load_vocabulary
from securetag.records import Label, content_id

#: Share of handlers that are a method of a class, where the framework has both.
_VIEW_SHARE = 0.4
#: Share of the functions that are a package's, not a web application's.
_PACKAGE_SHARE = 0.55
#: What a package's function makes sure of first, as often as it is here.
_OPENINGS: tuple[Opening, ...] = ("", "", "", "present", "text", "default")
#: Names of variables that a plan uses: its parameters, its result, and those of a data flow.
_NOUNS = 9
#: Longer names would cost a compact model's prompt a third more tokens.
_MAX_NAME_CHARS = 9
#: Attempts for each pair that is wanted, after which a bucket stays short (and the caller counts it).
_PATIENCE = 40
#: Few of the guards for words let an address through, so these classes need more attempts.
_TURNS = (*CLASSES, "CWE-918", "CWE-601")
#: Of so many turns of a data flow one is left out.
_FLOW_TURNS = 3
#: Mistakes written and run for each plan; more cost CPU, fewer leave plans without a true positive.
_MISTAKES = 3
#: Plans drawn for each pair that is missing: about a quarter show only one label, and some pairs
#: would tip the balance of lengths.
_SPARE = 1.6
#: Characters of code that count as one length, and pairs by which true and false may differ in one.
_STEP, _TIP = 10, 1


#: Runs trials and returns their outcomes in order.
_Run = Callable[[Sequence[Trial]], list[Outcome]]

#: Why a pair is left out whose safe function the search changed.
FOUND_BY_SEARCH = "the search changed what a function does that the listed attacks don't"


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two functions of one plan whose labels differ, as executed."""

    plan: Plan
    bucket: str
    true: Function
    false: Function
    #: The attack that did harm to the true one, and the search that found none in the false one.
    attack: Outcome
    search: Outcome

    @property
    def group(self) -> str:
        return group_of(self.plan)

    @property
    def pair_id(self) -> str:
        return content_id([self.true.code, self.false.code])[:16]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs to render, and the functions that couldn't be judged."""

    pairs: list[Pair]
    #: Why the oracle couldn't judge a function → number of functions.
    unjudged: dict[str, int]


def sample_pairs(
    rows: int,
    seed: int,
    *,
    reserve: float = 0.12,
    parts: Parts | None = None,
    mistakes: Collection[str] = (),
    progress: oracle.Progress | None = None,
    cache: Path | None = None,
) -> Sample:
    """Return pairs for about `rows` rows and a reserve for those that a scanner won't flag.

    `parts` says how much is held out, `mistakes` which modes may be written beside the sound one; empty: all
    of them. The same arguments give the same pairs. `cache` is a file of the oracle's outcomes. Raises
    ToolError when the oracle can't start.
    """
    wanted = {
        bucket: n + round(n * reserve) + 1 if n else 0 for bucket, n in quotas(rows, parts, mistakes).items()
    }
    pairs: dict[str, list[Pair]] = {bucket: [] for bucket in BUCKETS}
    seen: set[str] = set()
    choices = {bucket: Random(f"{seed}/{bucket}/modes") for bucket in BUCKETS}
    # A demo learns two mistakes of web applications from few rows: packages are another subject.
    streams = {bucket: _plans(bucket, seed, has_packages=not mistakes) for bucket in BUCKETS}
    lengths = {bucket: _Lengths() for bucket in BUCKETS}
    cells: Counter[tuple[str, str]] = Counter()
    unjudged: Counter[str] = Counter()
    most = max(1, int(rows * MAX_CELL_SHARE) // 2)
    run = partial(oracle.run_trials, progress=progress, cache=cache)
    for _ in range(8):
        drafts: list[tuple[str, Plan, list[Function]]] = []
        for bucket in BUCKETS:
            missing = wanted[bucket] - len(pairs[bucket])
            plans = islice(streams[bucket], round(missing * _SPARE))
            drafts += [_draft(bucket, plan, choices[bucket], mistakes_of(bucket, mistakes)) for plan in plans]
        if not drafts:
            break
        chosen: list[Pair] = []
        taken = Counter({bucket: len(pairs[bucket]) for bucket in BUCKETS})
        for pair in _paired(drafts, seed, unjudged, run):
            has_room = taken[pair.bucket] < wanted[pair.bucket] and all(
                cells[cell] < most for cell in _cells(pair)
            )
            # A function text is taken once: two plans may write the same one.
            if has_room and not {pair.true.code, pair.false.code} & seen and lengths[pair.bucket].take(pair):
                seen |= {pair.true.code, pair.false.code}
                cells.update(_cells(pair))
                taken[pair.bucket] += 1
                chosen.append(pair)
        # The search costs ten times what the listed attacks do, so only what is wanted is searched.
        for pair, searched in _searched(chosen, unjudged, run):
            if searched is None:
                cells.subtract(_cells(pair))
                lengths[pair.bucket].give_back(pair)
            else:
                pairs[pair.bucket].append(searched)
    return Sample(
        pairs=[pair for bucket in BUCKETS for pair in pairs[bucket]], unjudged=dict(sorted(unjudged.items()))
    )


def _cells(pair: Pair) -> list[tuple[str, str]]:
    return [(pair.plan.guard.name, part) for part in (pair.plan.shape, pair.plan.sink.name)]


class _Lengths:
    """Keeps a length from telling the label: each step holds as many true functions as false ones."""

    def __init__(self) -> None:
        self.more_true: Counter[int] = Counter()

    def take(self, pair: Pair) -> bool:
        """Take the pair unless it would tip a step further than `_TIP`; return whether it was taken."""
        true, false = len(pair.true.code) // _STEP, len(pair.false.code) // _STEP
        if true != false and (self.more_true[true] >= _TIP or self.more_true[false] <= -_TIP):
            return False
        self.more_true[true] += 1
        self.more_true[false] -= 1
        return True

    def give_back(self, pair: Pair) -> None:
        """Forget a pair that was taken."""
        self.more_true[len(pair.true.code) // _STEP] -= 1
        self.more_true[len(pair.false.code) // _STEP] += 1


def _plans(bucket: str, seed: int, *, has_packages: bool = True) -> Iterator[Plan]:
    """An endless seeded stream of plans of one bucket, going round the classes and their guards."""
    rng = Random(f"{seed}/{bucket}")
    unseen_guard, unseen_sink = bucket == "unseen_guard", bucket == "unseen_sink"
    sinks = {cwe: [s for s in SINKS if s.cwe == cwe and s.unseen == unseen_sink] for cwe in CLASSES}
    guards = {cwe: [g for g in guards_of(cwe) if g.unseen == unseen_guard] for cwe in CLASSES}
    turn = 0
    flows_drawn = 0
    while True:
        cwe = _TURNS[turn % len(_TURNS)]
        lap = turn // len(_TURNS)
        if lap % len(guards[cwe]) == 0:
            rng.shuffle(guards[cwe])
        turn += 1
        guard = guards[cwe][lap % len(guards[cwe])]
        if guard.kind == "flow" and bucket == "unseen_mistake":
            continue
        if guard.kind == "flow":
            # Nearly each of them makes a pair, of the other guards two in three.
            flows_drawn += 1
            if flows_drawn % _FLOW_TURNS == 0:
                continue
        for _ in range(_PATIENCE):
            plan = _plan(rng, rng.choice(sinks[cwe]), guard, bucket, has_packages=has_packages)
            if plan is not None and bucket_of(plan) == plan_bucket(bucket):
                yield plan
                break


def _plan(rng: Random, sink: Sink, guard: Guard, bucket: str, *, has_packages: bool = True) -> Plan | None:
    """Draw a plan; None where no framework of the bucket has such a guard."""
    unseen_framework = bucket == "unseen_framework"
    named = list_frameworks(guard.name) if guard.family == "route" else None
    fitting = [
        f
        for f in FRAMEWORKS
        if (f.name == UNSEEN_FRAMEWORK) == unseen_framework and (named is None or f.name in named)
    ]
    if not fitting:
        return None
    framework = rng.choice(fitting)
    is_package = has_packages and not unseen_framework and named is None and rng.random() < _PACKAGE_SHARE
    if is_package:
        framework = rng.choice(PACKAGES)
    elif named is None and framework.view_header and rng.random() < _VIEW_SHARE:
        framework = framework.as_view()
    source = rng.choice(sorted(framework.sources))
    shape = rng.choice(list_shapes(framework, source, sink, guard))
    # A second guard is one that training knows here too, or it would carry a held-out part into train.
    candidates = [
        g
        for g in guards_of(sink.cwe)
        if not g.unseen and g.kind != "flow" and g.family not in {guard.family, "neutral"}
    ]
    second = rng.choice(
        [g for g in candidates if not is_unseen_cell(g, shape=shape, sink=sink.name)] or [None]
    )
    words = load_vocabulary()
    nouns = words.draw_nouns(rng, _NOUNS, max_chars=_MAX_NAME_CHARS)
    while is_package and _OUTSIDE_NAMES & set(nouns):
        nouns = words.draw_nouns(rng, _NOUNS, max_chars=_MAX_NAME_CHARS)
    verb, helper, callee = words.draw_functions(rng, 3)
    function = rng.choice((verb, f"{rng.choice(_VERBS)}_{nouns[8]}"))
    class_name = "".join(part.title() for part in nouns[7].split("_")) + rng.choice(("", "Store", "Service"))
    core_names = {*nouns, function, helper, callee, class_name}
    refusal = rng.choice(framework.refusals)
    return Plan(
        framework=framework,
        source=source,
        sink=sink,
        guard=guard,
        shape=shape,
        function=function,
        variable=nouns[0],
        result=nouns[1],
        other=nouns[2],
        has_other=guard.kind != "flow" and rng.random() < 0.4,
        refusal=refusal,
        # A number can't be added to a text.
        spelling=choose_spelling(rng) if named is None else "fstring",
        weak=rng.randrange(4),
        second=second,
        has_log=rng.random() < 0.3,
        helper=helper,
        callee=callee,
        class_name=class_name,
        names=tuple(nouns[3:8]),
        record=rng.choice(RECORDS) if is_package else "record",
        opening=rng.choice(_OPENINGS) if is_package else "",
        scaffold=draw_scaffold(rng, words, framework, core_names, refusal),
    )


#: Names that the object which a package's function gets has for itself.
_OUTSIDE_NAMES = frozenset({"pop", *RECORDS, *(f"{name}s" for name in RECORDS)})
_VERBS = ("show", "load", "view", "find", "handle", "fetch", "render", "list", "export")


def _draft(
    bucket: str, plan: Plan, rng: Random, mistakes: Collection[str] = ()
) -> tuple[str, Plan, list[Function]]:
    """The plan as meant, combined, and with three of its mistakes; nothing if it has none of `mistakes`."""
    modes = [mode for mode in list_modes(plan) if not mistakes or mode in mistakes]
    if "dead" in mistakes and not modes and plan.guard.kind == "check":
        # Such a check would make no pair. With a log entry its result can be dropped, which is rare otherwise
        # (in nine of ten shapes, 40 of 415 pairs).
        plan = msgspec.structs.replace(plan, has_log=True)
        modes = ["dead"]
    if mistakes and not modes:
        return bucket, plan, []
    chosen = rng.sample(modes, min(_MISTAKES, len(modes)))
    # A flow is safe by itself or not at all.
    # A second guard is for a first that isn't enough, which is a mistake of another kind.
    meant = ("sound",) if plan.guard.kind == "flow" or mistakes else ("sound", "combined")
    return bucket, plan, [write_function(plan, mode) for mode in (*meant, *chosen)]


def trial_of(plan: Plan, function: Function) -> Trial:
    """Return what the oracle is given to judge a plan's function."""
    return make_trial(
        function.code,
        entry=function.entry,
        variable=plan.variable,
        sink=plan.sink,
        framework=plan.framework.name,
        source=source_of(plan, function.mode),
    )


def make_trial(code: str, *, entry: str, variable: str, sink: Sink, framework: str, source: str) -> Trial:
    """Return what the oracle is given to judge a module whose function `entry` answers a request."""
    answers = {"CWE-79": "make_response({v})", "CWE-601": "redirect({v})"}
    carrier = sink.carrier or answers[sink.cwe]
    plain = (
        f'def plain():\n    v = request.args.get("{variable}")\n'
        f"    return {carrier.format(v=make_literal(sink.text, 'v', 'concat'))}\n"
    )
    return Trial(
        code=code,
        entry=entry,
        variable=variable,
        plain=plain,
        sink=sink.name,
        framework=framework,
        source=source,
    )


def _paired(
    drafts: list[tuple[str, Plan, list[Function]]],
    seed: int,
    unjudged: Counter[str],
    run: _Run,
) -> Iterator[Pair]:
    """Run all functions of all drafts; yield a pair for each plan that has both labels.

    Adds to `unjudged` the reasons why functions couldn't be judged.
    """
    trials = [trial_of(plan, function) for _, plan, functions in drafts for function in functions]
    judged = run(trials)
    # What follows a colon is the function's own.
    unjudged.update(outcome.error.partition(":")[0] for outcome in judged if outcome.error)
    outcomes = iter(judged)
    for bucket, plan, functions in drafts:
        by_mode = {function.mode: next(outcomes) for function in functions}
        labels = {mode: oracle.label_of(outcome) for mode, outcome in by_mode.items()}
        rng = Random(f"{seed}/{plan.function}/{group_of(plan)}/{plan.variable}/{plan.source}")
        false = _choose(rng, functions, labels, "false_positive", None)
        true = _choose(rng, functions, labels, "true_positive", false)
        if true is None or false is None:
            continue
        # The held-out kind is the one or the other function of a pair.
        if bucket != "unseen_mistake" or {true.mode, false.mode} & UNSEEN_MISTAKES:
            attack, search = by_mode[true.mode], by_mode[false.mode]
            yield Pair(plan=plan, bucket=bucket, true=true, false=false, attack=attack, search=search)


def _searched(pairs: list[Pair], unjudged: Counter[str], run: _Run) -> Iterator[tuple[Pair, Pair | None]]:
    """Yield each pair, with its search if its safe function withstands one beyond the listed attacks.

    What the search alone finds may be an attack that nobody would call one, so such a pair is left out and
    counted in `unjudged`.
    """
    trials = [msgspec.structs.replace(trial_of(pair.plan, pair.false), inputs=MIN_INPUTS) for pair in pairs]
    for pair, outcome in zip(pairs, run(trials), strict=True):
        if outcome.error:
            unjudged[outcome.error.partition(":")[0]] += 1
        elif outcome.witness is not None:
            unjudged[FOUND_BY_SEARCH] += 1
        is_safe = not outcome.error and outcome.witness is None
        yield pair, msgspec.structs.replace(pair, search=outcome) if is_safe else None


def _choose(
    rng: Random,
    functions: list[Function],
    labels: dict[str, Label | None],
    wanted: Label,
    beside: Function | None,
) -> Function | None:
    """One function of the wanted label, rather of the length of the one beside which it will stand."""
    fit = [function for function in functions if labels[function.mode] == wanted]
    if not fit:
        return None
    weights = [_WEIGHTS[wanted].get(function.mode, 1.0) for function in fit]
    if beside is not None:
        gaps = [abs(len(function.code) - len(beside.code)) for function in fit]
        weights = [weight / (1 + (gap / _CLOSE) ** 2) for weight, gap in zip(weights, gaps, strict=True)]
    return rng.choices(fit, weights=weights)[0]


#: Characters by which the two functions of a pair may differ before a closer one is preferred.
_CLOSE = 12
#: How often a mode is taken where there is a choice. `combined` adds a line, so it is the false
#: positive only where the guard alone isn't enough; else length would give the label away.
_WEIGHTS: dict[Label, dict[str, float]] = {
    "true_positive": {"weak": 2.0, "sound": 3.0, "wrong-variable": 4.0, "after": 0.5, "partial": 0.6},
    "false_positive": {"sound": 4.0, "combined": 0.2, "after": 2.0, "extended": 0.6},
}
